import numpy as np

NEIGHBOURS = 8
MIN_VOTES = 2
MAX_ERROR_RATE = 0.25
MIN_OVERLAP = 216
STATS = {}


def near_duplicates(fingerprints):
    n = len(fingerprints)
    pairs = {}
    longest = max(map(len, fingerprints), default=0)
    keys = _candidates(fingerprints, longest)
    STATS["matches"] = len(keys)
    offs, votes = np.unique(keys, return_counts=True)
    STATS["distinct"] = len(offs)
    STATS["hist"] = [int((votes >= k).sum()) for k in range(1, 10)]
    keep = votes >= MIN_VOTES
    offs, votes = offs[keep], votes[keep]
    offs = offs[np.argsort(-votes, kind="stable")]
    for key in offs.tolist():
        ab, off = divmod(key, 2 * longest)
        i, j = divmod(ab, n)
        if (i, j) in pairs:
            continue
        e = error_rate(fingerprints[i], fingerprints[j], off - longest)
        if e <= MAX_ERROR_RATE:
            pairs[i, j] = e
    return [(i, j, e) for (i, j), e in sorted(pairs.items())]


def error_rate(a, b, off):
    p, q = a[max(-off, 0) :], b[max(off, 0) :]
    m = min(len(p), len(q))
    p, q = p[:m], q[:m]
    ok = (p != 0) & (q != 0)
    k = np.count_nonzero(ok)
    if k < MIN_OVERLAP:
        return 1.0
    return np.bitwise_count(p[ok] ^ q[ok]).sum() / (32 * k)


def _candidates(fps, longest):
    n = len(fps)
    lengths = np.array([len(f) for f in fps])
    starts = np.cumsum(lengths) - lengths
    e = np.concatenate(fps).astype(np.uint64)
    e <<= np.uint64(32)
    e |= np.arange(len(e), dtype=np.uint64)
    e.sort()
    words = (e >> np.uint64(32)).astype(np.uint32)
    pos = e.astype(np.uint32)
    del e
    tracks = (np.searchsorted(starts, pos, side="right") - 1).astype(np.int32)
    first = np.ones(len(words), bool)
    first[1:] = (words[1:] != words[:-1]) | (tracks[1:] != tracks[:-1])
    first &= words != 0
    words, pos, tracks = words[first], pos[first], tracks[first]
    frames = (pos - starts[tracks]).astype(np.int32)
    out = []
    for k in range(1, NEIGHBOURS + 1):
        s = np.flatnonzero(words[:-k] == words[k:])
        a, b = tracks[s].astype(np.int64), tracks[s + k]
        out.append((a * n + b) * 2 * longest + frames[s + k] - frames[s] + longest)
    return np.concatenate(out)
