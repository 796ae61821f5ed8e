"""The JSON API of `encore serve`: POST /similar, openapi.json, and the page that explains it."""

import json
import re
import shutil
import subprocess
import time
from html import unescape
from pathlib import Path

import pytest
import soundfile
from fastapi.routing import APIRoute
from pydantic import TypeAdapter

from stages.serving import about, ask, judge, music_map, similar_tracks, tracks
from stages.serving.described import SAMPLES, operations
from tests.asking import asked
from tests.serving import make_project, serving
from tests.synthetic import CLASSES, REPO

pytestmark = pytest.mark.slow
ROUTES = [
    route
    for module in (ask, similar_tracks, tracks, judge, music_map, about)
    for route in module.router.routes
    if isinstance(route, APIRoute)
]


@pytest.fixture(scope="module")
def music(module_workspace):
    return make_project(module_workspace)


@pytest.fixture(scope="module")
def server(music, module_workspace):
    with serving(module_workspace) as started:
        while started.get("/map").json["state"] == "running":
            time.sleep(0.1)
        yield started


@pytest.fixture(scope="module")
def document(server):
    return server.get("/openapi.json").json


@pytest.fixture(scope="module")
def page(server):
    return server.get("/api").body.decode()


def find(server, path, **words):
    query = "&".join(f"{key}={value}" for key, value in words.items())
    return server.ask("POST", f"/similar?{query}", path.read_bytes())


def by_command(monkeypatch, capsys, path, *words):
    return json.loads(asked(monkeypatch, capsys, "similar", str(path), "--json", *words))["tracks"]


@pytest.fixture(scope="module")
def index(server):
    """The index of the command, which is another one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["encore similar", "--index", "dataset"])
        from stages import similar

        with pytest.raises(SystemExit, match="0"):
            similar.main()


@pytest.mark.parametrize("words", [[], ["--same-genre"]], ids=str)
def test_similar_is_what_the_command_says(server, music, index, tmp_path, monkeypatch, capsys, words):
    path = tmp_path / "copy.wav"
    shutil.copy(music / CLASSES[1] / "03.wav", path)
    wanted = by_command(monkeypatch, capsys, path, "-k", "7", *words)
    answer = find(server, path, k=7, name="song.wav", same_genre=bool(words)).json
    assert (answer["name"], answer["n_tracks"], answer["left_out"]) == ("song.wav", 6 * len(CLASSES), 0)
    folder = Path("data/raw/music").resolve()
    assert [track["name"] for track in answer["tracks"]] == [
        Path(track["path"]).relative_to(folder).as_posix() for track in wanted
    ]
    for track, one in zip(answer["tracks"], wanted, strict=True):
        assert track["similarity"] == pytest.approx(one["similarity"], abs=1e-6)
        for key in ("genre", "is_predicted", "artist", "same_recording"):
            assert track[key] == one[key]
        assert server.get(track["audio"]).status == 200
    assert answer["tracks"][0]["name"] == f"{CLASSES[1]}/03.wav"
    assert answer["tracks"][0]["same_recording"]


def test_an_unknown_artist_is_said_in_words_of_the_api(server, music):
    answer = find(server, music / CLASSES[0] / "00.wav", other_artists=True)
    assert answer.status == 422
    assert answer.json == {
        "error": "its artist is not known: it is no track of the dataset, or the dataset says none; "
        "leave out other_artists"
    }


def test_nothing_of_what_is_sent_stays(server, tmp_path, module_workspace):
    """Not even what was computed of it: the work cache is as it was."""
    path = tmp_path / "new.wav"
    samples, rate_hz = soundfile.read(Path("data/raw/music") / CLASSES[0] / "01.wav")
    soundfile.write(path, samples[::-1], rate_hz)
    place = module_workspace / ".encore"
    before = {file for file in place.rglob("*") if file.is_file()}
    assert find(server, path).status == 200
    assert find(server, path).status == 200
    assert {file for file in place.rglob("*") if file.is_file()} == before


@pytest.mark.parametrize("query", ["k=0", "k=1001", "k=x"])
def test_wrong_values(server, music, query):
    answer = server.ask("POST", f"/similar?{query}", b"music")
    assert answer.status == 422
    assert answer.json["error"].startswith("k: ")


def test_no_music(server):
    answer = server.ask("POST", "/similar", b"no music")
    assert answer.status == 422
    assert answer.json["error"].startswith("it ")


def test_while_the_music_is_heard_it_says_so(music, module_workspace):
    """A new cache: the library is not there yet."""
    song = (music / CLASSES[0] / "00.wav").read_bytes()
    (module_workspace / ".encore").rename(module_workspace / "kept")
    try:
        with serving(module_workspace) as other:
            answer = other.ask("POST", "/similar", song)
            assert (answer.status, answer.headers["retry-after"]) == (503, "5")
            assert answer.json["error"].startswith("The music is being heard for the first time")
            while (answer := other.ask("POST", "/similar?k=1", song)).status == 503:
                time.sleep(0.1)
            assert [track["name"] for track in answer.json["tracks"]] == [f"{CLASSES[0]}/00.wav"]
    finally:
        shutil.rmtree(module_workspace / ".encore", ignore_errors=True)
        (module_workspace / "kept").rename(module_workspace / ".encore")


def test_without_music_there_is_nothing_similar(server, music, module_workspace):
    path = Path("data/raw/tracks.csv")
    content = path.read_bytes()
    path.unlink()
    try:
        with serving(module_workspace) as other:
            answer = other.ask("POST", "/similar", (music / CLASSES[0] / "00.wav").read_bytes())
            assert answer.status == 404
            assert answer.json["error"].startswith("There is no music")
    finally:
        path.write_bytes(content)


def test_openapi_says_what_it_is(document, server):
    version = re.search(r'^version = "(.*)"', (REPO / "pyproject.toml").read_text(), re.MULTILINE)[1]
    info = document["info"]
    assert (info["title"], info["version"], info["license"]["identifier"]) == ("Encore", version, "MIT")
    assert [one["url"] for one in document["servers"]] == [server.address]
    assert document["openapi"].startswith("3.1")


def test_each_route_is_described(document):
    tags = {tag["name"] for tag in document["tags"]}
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(ids)) == len(ids) == len(ROUTES)
    for method, path, operation in operations(document):
        place = f"{method} {path}"
        assert operation["summary"], place
        assert operation["description"], place
        assert re.fullmatch(r"[a-z_]{3,20}", operation["operationId"]), place
        assert set(operation["tags"]) <= tags, place
        assert len(operation["tags"]) == 1, place
        assert operation[SAMPLES], place
        for parameter in operation.get("parameters", []):
            assert parameter["description"], f"{place}: {parameter['name']}"
        responses = operation["responses"]
        assert {"200", "403", "421", "422"} <= set(responses), place
        for status, response in responses.items():
            assert response["description"], f"{place}: {status}"
            if status >= "400" and status != "416":
                schema = response["content"]["application/json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/Problem"}, f"{place}: {status}"
        if "503" in responses:
            assert set(responses["503"]["headers"]) == {"Retry-After"}
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_references_lead_somewhere(document):
    wanted = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)))
    assert wanted == set(document["components"]["schemas"])


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_examples_are_answers(route):
    example = route.responses[200].get("content", {}).get("application/json", {}).get("example")
    if route.name == "audio":
        assert example is None
        return
    model = route.response_model or route.responses[200]["model"]
    found = TypeAdapter(model).validate_python(example)
    assert TypeAdapter(model).dump_python(found, mode="json") == example  # nothing is missing or more


def test_the_page_has_each_route(document, page):
    for method, path, operation in operations(document):
        assert f'<section class="card route" id="{operation["operationId"]}"' in page
        assert f'<span class="method">{method}</span> {path}</p>' in page
        for parameter in operation.get("parameters", []):
            assert f"<code>{parameter['name']}</code>" in page


def lines(page):
    """All that can be copied, as a person would."""
    found = re.findall(r"<pre [^>]*data-copied><code[^>]*>(.*?)</code></pre>", page, re.DOTALL)
    return [unescape(one) for one in found]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, music):
    """Where a person has a song, and types."""
    place = tmp_path_factory.mktemp("songs")
    samples, rate_hz = soundfile.read(music / CLASSES[0] / "02.wav")
    soundfile.write(place / "song.mp3", samples, rate_hz, format="MP3")
    return place


def test_each_line_for_curl_works_as_it_is_printed(server, document, page, folder, module_workspace):
    if not shutil.which("curl"):
        pytest.skip("CURL IS MISSING: no line of the API's page was tested (apt install curl)")
    with serving(module_workspace, "--reviewer", "anna") as other:
        track = other.get("/tracks?limit=1").json["tracks"][0]["id"]
        assert other.ask("POST", f"/tracks/{track}/verdict", {"verdict": "ambiguous"}).status == 200
    printed = [line for line in lines(page) if line.startswith("curl ")]
    assert len(printed) == len(ROUTES)
    for line in printed:
        words = line.replace("curl ", "curl --silent --show-error --fail-with-body ", 1)
        done = subprocess.run(["bash", "-c", words], cwd=folder, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, ""), (line, done.stdout)
        if "--output" in line:
            assert soundfile.info(folder / "track.wav").duration > 1
        else:
            assert "error" not in json.loads(done.stdout)


def test_the_lines_of_python_work_as_they_are_printed(server, page, folder):
    (program,) = (line for line in lines(page) if line.startswith("import json"))
    done = subprocess.run(
        ["python3", "-I", "-c", program], cwd=folder, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() in CLASSES


def test_a_person_who_is_lost_gets_a_page(server):
    answer = server.get("/nothing", accept="text/html,*/*;q=0.8")
    assert (answer.status, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert b"There is no such page" in answer.body
    line = "there is no such address; /api and /openapi.json list all"
    assert server.get("/nothing").json == {"error": line}


def test_another_method_is_refused_with_those_that_are_taken(server):
    answer = server.ask("PUT", "/tracks")
    assert (answer.status, answer.json) == (405, {"error": "another method is needed here: GET"})


def test_a_form_is_refused_with_the_way_to_send_a_file(server, folder):
    body = b"--x\r\ncontent-disposition: form-data; name=file\r\n\r\n" + (folder / "song.mp3").read_bytes()
    answer = server.ask(
        "POST", "/predict", body + b"\r\n--x--", content_type="multipart/form-data; boundary=x"
    )
    line = "the body is a form; send the content of a file, as `curl --data-binary @song.mp3`, without -F"
    assert (answer.status, answer.json) == (415, {"error": line})
