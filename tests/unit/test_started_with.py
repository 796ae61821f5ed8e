"""What a server was started with: other content is noticed, the same content written anew is not."""

import os

from stages.serving.started_with import StartedWith


def test_content_counts(tmp_path):
    kept, absent = tmp_path / "kept", tmp_path / "absent"
    kept.write_text("a")
    files = StartedWith([kept, absent])
    assert files.changed() == []

    absent.write_text("comes later")
    assert files.changed() == [absent]
    absent.unlink()
    assert files.changed() == []

    kept.write_text("b")  # as long as before
    os.utime(kept, ns=(0, 0))
    assert files.changed() == [kept]
    kept.unlink()
    assert files.changed() == [kept]
    kept.write_text("a")
    assert files.changed() == []
    assert StartedWith([kept, absent]).key == files.key
    assert StartedWith([absent, kept]).key != files.key
