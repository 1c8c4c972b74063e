#!/bin/bash
# cli_serve.sh - a queue as a page: what hostile names, prompts and messages become on it, in metrics
# and JSON, that no file outside the given folders is shown, and what a client may cost.
. "$(dirname "$0")/world.sh"
"$rollmill" serve --listen nowhere 2>&1 | grep -q HTTP=0 && echo "libmicrohttpd-dev is not installed: no page" && exit 77
command -v curl >/dev/null || { echo "curl is not installed" && exit 77; }
export ROLLMILL_QUEUE=sqlite:q.db

expect 2 'there is no queue' "$rollmill" serve
"$rollmill" queue make >/dev/null || wrong "no queue"
for bad in nowhere 127.0.0.1 127.0.0.1: :8080 127.0.0.1:99999 '[::1:80' ::1:80 a.example:80 127.0.0.1:80x; do
    expect 2 'an address and a port are allowed' "$rollmill" serve --listen "$bad"
done
expect 2 'none: No such file' "$rollmill" serve none
expect 2 'an output folder is allowed' "$rollmill" serve q.db

# Rows as no user should write them, and clips: shown, outside, behind a link, with names that climb.
mkdir -p out other
hostile='</bdi></pre><script>alert(1)</script><x-hostile onload="a()" '"'"'>&"\{}
second line'
HOSTILE=$hostile python3 - <<'END' || wrong "no rows"
import json, os, sqlite3, struct, time, zlib

def png():
    part = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)) + \
        part(b"IDAT", zlib.compress(b"\0\0")) + part(b"IEND", b"")

def clip(folder, preview, content=None):
    os.makedirs(folder)
    json.dump({"video": {"preview": preview}}, open(folder + "/clip.json", "w"))
    if content:
        open(folder + "/" + preview, "wb").write(content)

clip("out/good", "contact.png", png())
clip("other/outside", "contact.png", png())
clip("out/climbs", "../../other/outside/contact.png")
clip("out/linked", "contact.png")
os.symlink(os.path.abspath("other/outside/contact.png"), "out/linked/contact.png")
clip("out/text", "contact.png", b"not a picture at all")
os.symlink(os.path.abspath("other/outside"), "out/away")
os.mkfifo("out/text/clip.fifo")
clip("out/wide", "x" * 200 + ".png", png())
hostile, now = os.environ["HOSTILE"], int(time.time() * 1000)
db = sqlite3.connect("q.db")
db.execute("INSERT INTO jobs (uid, name, owner, spec, grp, need_mib, priority, want, clips, n_ready, n_running, n_done, n_failed,"
           " max_failed, max_worlds, budget_error, budget_crash, budget_preempt, backoff_ms, created)"
           " VALUES (?, ?, ?, 'SECRET SPEC', ?, 0, 50, 0, 9, 1, 1, 6, 1, -1, 0, 3, 5, 20, 0, ?)", (hostile,) * 4 + (now,))
db.execute("INSERT INTO workers (nonce, host, place, pid, pid_start, launcher, mib, grp, joined, seen, lease_until)"
           " VALUES ('n', ?, '', 1, 1, ?, 0, ?, ?, ?, ?)", (hostile,) * 3 + (now, now, now + 3600000))
for nonce, lease in ("drains", now + 3600000), ("lost", now - 1000):  # silent, though it was to drain
    db.execute("INSERT INTO workers (nonce, host, place, pid, pid_start, launcher, mib, drain, joined, seen, lease_until)"
               " VALUES (?, 'h', '', 1, 1, '', 0, 1, ?, ?, ?)", (nonce, now, now, lease))
folders = ["out/good", "other/outside", "out/climbs", "out/linked", "out/text", "out/away", "out/wide"]
for i, folder in enumerate(folders + ["run", "fail"]):
    state = 2 if i < len(folders) else 1 if folder == "run" else 3
    db.execute("INSERT INTO clips (job, idx, task, folder, axis_values, blocks, pictures, video_ms, state, worker, attempt)"
               " VALUES (1, ?, ?, ?, ?, 8, 96, 6000, ?, ?, 1)",
               (i, hostile, os.path.abspath(folder), hostile, state, 1 if state == 1 else 0))
    db.execute("INSERT INTO attempts (job, idx, attempt, worker, host, began, ended, entered, class, blocks, message)"
               " VALUES (1, ?, 1, 1, ?, ?, ?, ?, ?, ?, CAST(? AS TEXT))",
               (i, hostile, now - 80000, 0 if state == 1 else now, now - 14400000,
                {2: "done", 3: hostile, 1: ""}[state], 4, hostile))
db.execute("UPDATE attempts SET message = CAST(X'66FF80' AS TEXT) || message WHERE idx = 8")
db.commit()
END

"$rollmill" serve out --listen 127.0.0.1:0 >serve.txt 2>serve.log &
serve=$!
trap 'kill -9 $serve 2>/dev/null; rm -rf "$dir"' EXIT
has_port() { port=$(sed -n 's/^http port //p' serve.txt) && [ -n "$port" ]; }
await has_port
at=http://127.0.0.1:$port
get() { curl -sS --max-time 60 --path-as-is "$@"; }

# gives CODE URL-PATH [OPTION...]: the answer's code
gives() {
    code=$1 path=$2
    shift 2
    got=$(get -o body -D head -w '%{http_code}' "$@" "$at$path")
    [ "$got" = "$code" ] || wrong "$path $*: $got, wanted $code: $(head -c 300 body)"
}

# The page: only the tags and attributes that it writes itself.
gives 200 /
grep -qi "^content-security-policy: default-src 'none'" head || wrong "no policy: $(cat head)"
grep -qi '^x-content-type-options: nosniff' head || wrong "may be sniffed: $(cat head)"
python3 - body <<'END' || wrong "the page"
import html.parser, sys

class Page(html.parser.HTMLParser):
    tags, names, text = set(), set(), ""
    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.names |= {name for name, value in attrs}
    def handle_data(self, data):
        self.text += data

page = Page()
page.feed(open(sys.argv[1], encoding="utf-8").read())
known = set("html head meta title link body header h1 h2 span ul li b table thead tr th tbody td bdi br small progress"
            " p pre div svg rect title img code".split())
assert page.tags <= known, page.tags - known
names = set("lang charset name content http-equiv rel href class max value viewbox preserveaspectratio role aria-label x y width"
            " height loading alt src".split())
assert page.names <= names, page.names - names
assert page.text.count("<script>alert(1)</script>") >= 20, page.text
assert "4 of 8" in page.text and "4 h" in page.text, page.text
assert "SECRET" not in page.text
assert "f\ufffd\ufffd<" in page.text.replace("</bdi></pre>", "<"), page.text
END
grep -q "$dir" body && wrong "a folder's path is on the page"
gives 200 /style.css
grep -q 'prefers-color-scheme: dark' body || wrong "no dark style"

# Metrics: what a label holds does not end it.
gives 200 /metrics
python3 - body <<'END' || wrong "metrics"
import re, sys

line = re.compile(r'(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{[a-z]+="([^"\\\n]|\\["\\n])*"\})? [-0-9.]+)')
text = open(sys.argv[1]).read()
for one in text.splitlines():
    assert line.fullmatch(one), one
assert 'rollmill_clips{state="running"} 1\n' in text and "rollmill_up 1\n" in text, text
for state in "working", "drains", "silent":
    assert 'rollmill_worlds{state="%s"} 1\n' % state in text, text
END
if command -v promtool >/dev/null; then promtool check metrics <body || wrong "promtool"; fi

# A world's state is the same everywhere.
"$rollmill" queue status >worlds.txt
"$rollmill" queue status --json >worlds.json
for state in drains silent; do
    grep -q "h  .* $state " worlds.txt || wrong "no world that is $state: $(cat worlds.txt)"
    grep -q "\"state\": \"$state\"" worlds.json || wrong "no world that is $state: $(cat worlds.json)"
    get "$at/" | grep -q "class=silent>$state<" || wrong "no world that is $state on the page"
done

# JSON, and nothing for pages of other sites.
for part in status jobs worlds owners running failed finished pace clips/1 clips/1/3; do
    gives 200 /api/v1/$part -H 'Origin: https://evil.example'
    grep -qi '^access-control' head && wrong "$part is given to other origins"
    python3 -c 'import json, sys; json.load(open(sys.argv[1]))' body || wrong "$part: $(head -c 300 body)"
    grep -q "$dir\|SECRET" body && wrong "$part shows a folder or a job's text"
done
python3 -c 'import json; c = json.load(open("body"))["clips"]; assert [x["clip"] for x in c] == [3, 4, 5, 6, 7, 8], c' || wrong "clips from 3 on"
gives 403 / -H 'Host: evil.example'
gives 403 / -H "Host: localhost.evil.example:$port"
gives 200 / -H "Host: localhost:$port"
for method in POST PUT DELETE OPTIONS; do gives 405 / -X $method -d x=1; done
gives 200 / -I
for path in /nothing /api/v1/ /api/v1/clips/ /api/v1/clips/x /api/v1/clips/1/-1 /api/v1/clips/99999999999999999999 /metrics/ \
    /sheet/ /sheet/1/0 /sheet/1/0/2 /sheet/../../etc/passwd /../q.db '/sheet/%2e%2e/q.db' /q.db; do
    gives 404 "$path"
done

# Contact sheets: of the given folder alone.
gives 200 /sheet/1/0/1
grep -qi '^content-type: image/png' head || wrong "$(cat head)"
cmp -s body out/good/contact.png || wrong "another sheet"
gives 200 /sheet/1/6/1
for clip in 1 2 3 4 5; do gives 404 /sheet/1/$clip/1; done
grep -c 'src="/sheet' <(get "$at/") | grep -qx 4 || wrong "sheets: $(get "$at/" | grep -o 'src="[^"]*"')"
# A sheet that becomes a link once it is known.
ln -sf "$PWD/other/outside/contact.png" out/good/contact.png
gives 404 /sheet/1/0/1

# Connections that say nothing are closed in time.
python3 - "$port" <<'END' || wrong "connections"
import socket, sys

port, open_ = int(sys.argv[1]), []
for i in range(80):
    s = socket.create_connection(("127.0.0.1", port))
    s.sendall(b"GET / HTTP/1.1\r\n")
    open_.append(s)
for s in open_:  # a timeout: one was left open
    s.settimeout(60)
    try:
        while s.recv(4096):
            pass
    except ConnectionResetError:
        pass
END
gives 200 /

# It goes with a signal.
kill -TERM $serve
wait $serve
rc=$?
[ $rc = 0 ] || wrong "exit $rc: $(cat serve.log)"
grep -hE 'Sanitizer|runtime error' serve.log && wrong "a sanitizer spoke"

# What is slow to read and cannot be read is empty; all the rest is shown.
python3 -c 'import sqlite3; sqlite3.connect("q.db").execute("ALTER TABLE clips RENAME COLUMN video_ms TO video_s")'
rm serve.txt
"$rollmill" serve out --listen 127.0.0.1:0 >serve.txt 2>serve.log &
serve=$!
await has_port
at=http://127.0.0.1:$port
gives 200 /api/v1/status
python3 -c 'import json; s = json.load(open("body")); assert s["jobs"] and s["finished"] and s["owners"] == [], s' || wrong "all but owners"
gives 200 /
grep -q 'owners could not be read: .*video_ms' serve.log || wrong "not said: $(cat serve.log)"
kill -TERM $serve
wait $serve || wrong "exit $?: $(cat serve.log)"
expect 1 'cannot listen on' "$rollmill" serve --listen 192.0.2.1:9
exit $fail
