"""The table of results and the statements on it (spec.md §4.36, docs/decisions/0016).

A row is open while `status` is "". `freed` is 0 for the row that owns its request_id, and its own seq once the id
was used again; so an id is unique while it is held, and old rows stay readable.
"""

from __future__ import annotations

# "PVRS", so that `file` and people tell it from other databases.
APPLICATION_ID = 0x50565253
VERSION = 1

CREATE = f"""
CREATE TABLE results (
  seq INTEGER PRIMARY KEY,
  client_id TEXT NOT NULL,
  request_id TEXT NOT NULL,
  freed INTEGER NOT NULL DEFAULT 0,
  pid TEXT NOT NULL,
  payload BLOB NOT NULL,
  shared_mem_id TEXT NOT NULL,
  received_at_ms INTEGER NOT NULL,
  epoch TEXT NOT NULL,
  status TEXT NOT NULL DEFAULT '',
  verdict TEXT NOT NULL DEFAULT '',
  code TEXT NOT NULL DEFAULT '',
  answer BLOB,
  answer_crc INTEGER,
  finished_at_ms INTEGER,
  UNIQUE (client_id, request_id, freed)
) STRICT;
CREATE INDEX results_pid ON results (pid);
CREATE INDEX results_open ON results (seq) WHERE status = '';
CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
"""

FREE_ID = "UPDATE results SET freed = seq WHERE client_id = ? AND request_id = ? AND freed = 0 AND seq <> ?"
_COLUMNS = "seq, client_id, request_id, pid, payload, shared_mem_id, received_at_ms, epoch"
ACCEPT = f"INSERT INTO results ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (seq) DO NOTHING"
# Whole rows: one whose acceptance was lost with a failed group is complete all the same.
ANSWER = f"""
INSERT INTO results ({_COLUMNS}, status, verdict, code, answer, answer_crc, finished_at_ms)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (seq) DO UPDATE SET status = excluded.status, verdict = excluded.verdict, code = excluded.code,
  answer = excluded.answer, answer_crc = excluded.answer_crc, finished_at_ms = excluded.finished_at_ms
"""

OPEN_ROWS = "SELECT seq, request_id, pid FROM results WHERE status = '' AND epoch <> ?"
CLOSE_ROW = (
    "UPDATE results SET status = 'ERROR', code = ?, answer = ?, answer_crc = ?, finished_at_ms = ? WHERE seq = ?"
)

FIND = """
SELECT payload, status, answer, answer_crc, finished_at_ms FROM results
WHERE client_id = ? AND request_id = ? AND freed = 0
"""
LIST = """
SELECT seq, client_id, request_id, pid, received_at_ms, finished_at_ms, status, verdict, code FROM results
WHERE (:pid IS NULL OR pid = :pid) AND received_at_ms >= :since_ms ORDER BY seq DESC LIMIT :last
"""

DAMAGED_ANSWERS = "SELECT request_id FROM results WHERE answer IS NOT NULL AND crc32(answer) <> answer_crc LIMIT 1"

FIRST_FINISHED = "SELECT finished_at_ms FROM results WHERE status <> '' ORDER BY seq LIMIT 1"
# The oldest answered rows. The newest row stays, so that a seq never comes twice.
_OLDEST = "SELECT seq FROM results WHERE status <> '' AND seq < (SELECT max(seq) FROM results) ORDER BY seq LIMIT ?"
# Only what lies before the first row that is young enough: the order is certain, the time of a single row is not.
FORGET_OLD = f"""
DELETE FROM results WHERE seq IN ({_OLDEST}) AND seq < coalesce(
  (SELECT min(seq) FROM results WHERE seq IN ({_OLDEST}) AND finished_at_ms >= ?), (SELECT max(seq) FROM results))
"""
FORGET_OLDEST = f"DELETE FROM results WHERE seq IN ({_OLDEST})"

# In a backup: a row that is open in it may have got its answer since.
FORGET_OPEN = "DELETE FROM results WHERE status = ''"

COUNT_META = "SELECT count(*) FROM meta"
GET_META = "SELECT value FROM meta WHERE key = ?"
PUT_META = "INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
