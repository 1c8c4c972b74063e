"""What a power cut may leave of a folder, by a recording of the calls that change it.

    replay.py FOLDER TREE TRACE CLIP... [--states N] [--into DIR]

TRACE is what `strace -f -xx -s 100000000 -e trace=CALLS` (replay.py --calls) wrote of a program that was
started here and worked below FOLDER; TREE is a copy of FOLDER before that, which counts as being on the disk. A call that has ended may
be followed by a power cut. Then there are

  - the bytes of a file that were written before its last fsync, and the names of a folder before its;
  - of what came later any part: each write and each name is there or is not, a rename as a whole.

After every call that changes or syncs something four such states are looked at: nothing of what came later, all of it, its names without
its bytes, and a part by chance. In each of them CLIP, a folder below FOLDER, is not there, or is what it is at the
end, whole. At the end it is there. Whatever another file is called without `.tmp.` in its name, outside of
`.attempts`, is there whole or not at all. From the first checkpoint on there is a checkpoint as far as it, or
the clip.

--into: N of these states are made as folders DIR/1, DIR/2 ..., for a program to begin in.
Prints how many states there were. Exit 1: one is wrong, and is named; or nothing would be wrong if files, or
folders, were never synced, so that this program sees nothing.
"""

import argparse
import os
import random
import re
import sys

CALLS = (
    "open,openat,creat,close,dup,dup2,dup3,fcntl,lseek,read,write,pwrite64,writev,pwritev,pwritev2,ftruncate,"
    "truncate,fallocate,copy_file_range,sendfile,fsync,fdatasync,rename,renameat,renameat2,link,linkat,symlink,"
    "symlinkat,mkdir,mkdirat,unlink,unlinkat,rmdir,chdir"
)
LINE = re.compile(r"^(\d+)\s+(.*)$")
CALL = re.compile(r"^(\w+)\((.*)\)\s+= (-?\d+|\?)", re.S)
STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')


class Node:
    """A file or a folder, whatever its name."""

    def __init__(self, folder):
        self.folder = folder
        self.changes = []  # files: (time, offset, bytes), or (time, None, size) for a cut
        self.synced = []  # times
        self.names = {}  # as the program sees them; folders
        self.size = 0


class Recording:
    """The calls of a trace, in the order in which they ended."""

    def __init__(self, root, tree):
        self.root = root
        self.time = 0
        self.renames = []  # (time, [(folder, name, node or None)]): a change of names
        self.commits = []  # (time, number of blocks): a checkpoint is told to be on the disk
        self.open = {}  # descriptor: [node, position, appends]
        self.pending = {}
        self.top = self.load(tree)

    def load(self, path):
        """What is on the disk at time 0, checkpoints among it."""
        if os.path.isfile(path):
            node = Node(False)
            with open(path, "rb") as f:
                data = f.read()
            node.changes.append((0, 0, data))
            node.size = len(data)
        else:
            node = Node(True)
            for name in sorted(os.listdir(path)):
                node.names[name] = self.load(os.path.join(path, name))
                self.renames.append((0, [(node, name, node.names[name])]))
            self.note_checkpoints(node)
        node.synced.append(0)
        return node

    def find(self, path):
        """(folder, last name) of a path; (None, None) outside of the root."""
        path = os.path.abspath(path)
        if path == self.root:
            return None, ""
        if not path.startswith(self.root + "/"):
            return None, None
        parts = path[len(self.root) + 1 :].split("/")
        folder = self.top
        for part in parts[:-1]:
            folder = folder.names.get(part)
            if folder is None or not folder.folder:
                return None, None
        return folder, parts[-1]

    def node(self, path):
        folder, name = self.find(path)
        if folder is None:
            return self.top if name == "" else None
        return folder.names.get(name)

    def change(self, names):
        self.time += 1
        for folder, name, node in names:
            if node is None:
                folder.names.pop(name, None)
            else:
                folder.names[name] = node
        self.renames.append((self.time, names))

    # ---- calls ----

    def opened(self, path, flags, fd):
        node = self.node(path)
        folder, name = self.find(path)
        if node is None and folder is not None and "O_CREAT" in flags:
            node = Node(False)
            self.change([(folder, name, node)])
        if node is None:
            return
        if "O_TRUNC" in flags:
            self.cut(node, 0)
        self.open[fd] = [node, 0, "O_APPEND" in flags]

    def cut(self, node, size):
        self.time += 1
        node.changes.append((self.time, None, size))
        node.size = size

    def wrote(self, fd, at, data):
        node = self.open[fd][0]
        if at is None:
            at = node.size if self.open[fd][2] else self.open[fd][1]
            self.open[fd][1] = at + len(data)
        self.time += 1
        node.changes.append((self.time, at, data))
        node.size = max(node.size, at + len(data))

    def moved(self, old, new):
        from_folder, from_name = self.find(old)
        to_folder, to_name = self.find(new)
        if from_folder is None or to_folder is None:
            sys.exit(f"{old} to {new}: across the folder's border")
        node = from_folder.names[from_name]
        self.change([(from_folder, from_name, None), (to_folder, to_name, node)])

    def note_checkpoints(self, node):
        for name in node.names:
            if re.fullmatch(r"snapshot\.\d+", name):
                self.commits.append((self.time, int(name.split(".")[1])))

    def synced(self, node):
        self.time += 1
        node.synced.append(self.time)
        self.note_checkpoints(node)

    def step(self, call, text, result):
        """A call that has ended well."""
        strings = []
        for found in STRING.finditer(text):
            if found.group(2):
                sys.exit(f"{call}: its bytes are cut in the trace")
            strings.append(bytes.fromhex(found.group(1).replace("\\x", "")))
        rest = [word.strip() for word in STRING.sub("$", text).split(",")]
        fd = int(rest[0]) if rest[0].isdigit() else None
        path = [os.fsdecode(s) for s in strings]
        ours = fd in self.open
        if call == "chdir":
            sys.exit("chdir: the replay takes paths from where it is itself")
        if call in ("open", "creat") or (call == "openat" and rest[0] == "AT_FDCWD"):
            self.opened(path[0], "O_CREAT|O_TRUNC" if call == "creat" else text, result)
        elif call in ("mkdir", "mkdirat"):
            folder, name = self.find(path[0])
            if folder is not None:
                self.change([(folder, name, Node(True))])
        elif call in ("unlink", "rmdir", "unlinkat"):
            folder, name = self.find(path[0])
            if folder is not None:
                self.change([(folder, name, None)])
        elif call in ("rename", "renameat", "renameat2"):
            if self.find(path[0])[0] or self.find(path[1])[0]:
                self.moved(path[0], path[1])
        elif not ours:
            return
        elif call == "write":
            self.wrote(fd, None, strings[0][:result])
        elif call == "pwrite64":
            self.wrote(fd, int(rest[-1]), strings[0][:result])
        elif call == "read":
            self.open[fd][1] += result
        elif call == "lseek":
            self.open[fd][1] = result
        elif call == "ftruncate":
            self.cut(self.open[fd][0], int(rest[1]))
        elif call in ("fsync", "fdatasync"):
            self.synced(self.open[fd][0])
        elif call in ("dup", "dup2", "dup3") or (call == "fcntl" and "F_DUPFD" in text):
            self.open[result] = self.open[fd]
        elif call not in ("fcntl", "openat"):
            sys.exit(f"{call}: not a call that the replay knows")

    def line(self, pid, text):
        if text.endswith("<unfinished ...>"):
            text = text[: -len("<unfinished ...>")]
            self.pending[pid] = text
            # Another thread may be given the number before this call has ended.
            if text.startswith("close("):
                self.open.pop(int(text[len("close(") :].strip(" )")), None)
            return
        resumed = re.match(r"^<\.\.\. (\w+) resumed>", text)
        if resumed:
            text = self.pending.pop(pid) + text[resumed.end() :]
            if text.startswith("close("):
                return
        found = CALL.match(text)
        if not found or found.group(3) in ("?", "-1"):
            return
        if found.group(1) == "close":
            self.open.pop(int(found.group(2)), None)
        else:
            self.step(found.group(1), found.group(2), int(found.group(3)))

    def read(self, trace):
        with open(trace, encoding="ascii") as f:
            for line in f:
                found = LINE.match(line.rstrip("\n"))
                if found:
                    self.line(found.group(1), found.group(2))


class State:
    """What is there when the power goes after the call `time`."""

    def __init__(self, recording, time, names, data):
        """names, data: whether a change that was not synced is there."""
        self.time, self.data = time, data
        self.tree = {}  # folder: {name: node}
        for when, changes in recording.renames:
            if when > time:
                break
            kept = any(self.is_synced(folder, when) for folder, _, _ in changes)
            if not kept and not names():
                continue
            for folder, name, node in changes:
                if node is None:
                    self.tree.setdefault(folder, {}).pop(name, None)
                else:
                    self.tree.setdefault(folder, {})[name] = node

    def is_synced(self, node, when):
        return any(when <= at <= self.time for at in node.synced)

    def names(self, folder):
        return self.tree.get(folder, {})

    def node(self, top, path):
        node = top
        for part in path.split("/"):
            node = self.names(node).get(part) if node is not None else None
        return node

    def bytes(self, node):
        out = bytearray()
        for when, at, what in node.changes:
            if when > self.time:
                break
            if not self.is_synced(node, when) and not self.data():
                continue
            if at is None:
                del out[what:]
                out.extend(b"\0" * (what - len(out)))
            else:
                out.extend(b"\0" * (at - len(out)))
                out[at : at + len(what)] = what
        return bytes(out)

    def make(self, node, path):
        """As files and folders."""
        if node.folder:
            os.makedirs(path, exist_ok=True)
            for name, inner in self.names(node).items():
                self.make(inner, os.path.join(path, name))
        else:
            with open(path, "wb") as f:
                f.write(self.bytes(node))


class Audit:
    def __init__(self, recording, folder, clips):
        self.recording, self.folder, self.clips = recording, folder, clips
        self.wrong = []
        self.states = 0

    def truth(self, path):
        with open(os.path.join(self.folder, path), "rb") as f:
            return f.read()

    def differs(self, state, node, path):
        """The first thing below it that is not what it is at the end; None: none is."""
        real = os.path.join(self.folder, path)
        if not node.folder:
            return None if os.path.isfile(real) and state.bytes(node) == self.truth(path) else path
        if not os.path.isdir(real) or sorted(os.listdir(real)) != sorted(state.names(node)):
            return path or "its top"
        inner = (self.differs(state, n, os.path.join(path, name)) for name, n in state.names(node).items())
        return next((bad for bad in inner if bad), None)

    def other_files(self, state, folder, path):
        for name, node in state.names(folder).items():
            at = os.path.join(path, name)
            if name.startswith(".attempts") or ".tmp." in name or at in self.clips:
                continue
            if node.folder:
                yield from self.other_files(state, node, at)
            else:
                yield node, at

    def furthest(self, state):
        """The furthest checkpoint that is there; a clip is further than any."""
        top = self.recording.top
        if any(state.node(top, clip) for clip in self.clips):
            return 1 << 30
        most = 0
        stack = [top]
        while stack:
            for name, node in state.names(stack.pop()).items():
                if node.folder:
                    stack.append(node)
                elif re.fullmatch(r"snapshot\.\d+", name):
                    most = max(most, int(name.split(".")[1]))
        return most

    def look(self, state, what):
        self.states += 1
        top = self.recording.top
        for clip in self.clips:
            node = state.node(top, clip)
            bad = self.differs(state, node, clip) if node else None
            if bad:
                self.wrong.append(f"call {state.time}, {what}: {bad} is not what it is at the end")
        for node, path in self.other_files(state, top, ""):
            if node.changes and node.changes[-1][0] > 0 and self.differs(state, node, path):
                self.wrong.append(f"call {state.time}, {what}: {path} is not whole")
        told = max((blocks for at, blocks in self.recording.commits if at <= state.time), default=0)
        if self.furthest(state) < told:
            self.wrong.append(
                f"call {state.time}, {what}: checkpoint {self.furthest(state)}; {told} was on the disk"
            )

    def end(self):
        """That what is told is what is there, and that the recording is all that was done."""
        last = self.recording.time
        least = State(self.recording, last, lambda: False, lambda: False)
        most = State(self.recording, last, lambda: True, lambda: True)
        for clip in self.clips:
            if not least.node(self.recording.top, clip):
                self.wrong.append(f"at the end: {clip} is not on the disk")
        bad = self.differs(most, self.recording.top, "")
        if bad:
            self.wrong.append(f"not all that changed {bad} is recorded")


def choices(seed):
    by_chance = random.Random(seed)
    share = by_chance.random()
    no, yes, some = lambda: False, lambda: True, lambda: by_chance.random() < share
    return {
        "nothing later": (no, no),
        "all": (yes, yes),
        "names alone": (yes, no),
        "by chance": (some, some),
    }


def look_everywhere(recording, folder, clips, seed):
    audit = Audit(recording, folder, clips)
    for time in range(recording.time + 1):
        for what, (names, data) in choices(seed * 1000003 + time).items():
            audit.look(State(recording, time, names, data), what)
    audit.end()
    return audit


def see_omissions(recording, folder, clips):
    """That syncs of files, or of folders, are missed where they are left out. The recording is spoilt."""
    nodes = {n for _, names in recording.renames for f, _, n in names for n in (f, n) if n}
    kept = {n: n.synced for n in nodes}
    for folders in (False, True):
        for n in nodes:
            n.synced = [at for at in kept[n] if at == 0 or n.folder != folders]
        audit = Audit(recording, folder, clips)
        audit.look(State(recording, recording.time, lambda: True, lambda: False), "")
        audit.end()
        if not audit.wrong:
            sys.exit(f"without syncs of {'folders' if folders else 'files'} nothing would be wrong")


def main():
    if sys.argv[1:] == ["--calls"]:
        print(CALLS)
        return
    ask = argparse.ArgumentParser()
    ask.add_argument("folder")
    ask.add_argument("tree")
    ask.add_argument("trace")
    ask.add_argument("clip", nargs="+")
    ask.add_argument("--states", type=int, default=0)
    ask.add_argument("--into")
    ask.add_argument("--seed", type=int, default=1)
    o = ask.parse_args()
    root = os.path.realpath(o.folder)
    recording = Recording(root, o.tree)
    recording.read(o.trace)
    audit = look_everywhere(recording, root, o.clip, o.seed)
    by_chance = random.Random(o.seed)
    for i in range(1, o.states + 1):
        time = by_chance.randint(0, recording.time)
        what, (names, data) = by_chance.choice(list(choices(by_chance.random()).items()))
        State(recording, time, names, data).make(recording.top, os.path.join(o.into, str(i)))
        with open(os.path.join(o.into, f"{i}.what"), "w", encoding="ascii") as f:
            f.write(f"call {time}, {what}\n")
    see_omissions(recording, root, o.clip)
    print(f"{recording.time} calls, {audit.states} states, {len(audit.wrong)} wrong")
    for line in audit.wrong[:20]:
        print(line)
    sys.exit(1 if audit.wrong else 0)


main()
