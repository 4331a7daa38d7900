"""The command line: help, usage, completions, manual pages, output files, pipes, permissions."""

import json
import os
import pty
import re
import select
import shutil
import signal
import stat
import subprocess

import pytest
from conftest import ROOT, UNPARK

COMMANDS = ["ps", "dump", "leaks", "causes", "export", "graph", "record", "diff", "pprof", "doctor", "completions", "version", "help"]
PAGES = ["unpark.1"] + [f"unpark-{name}.1" for name in COMMANDS]
SHELLS = ["bash", "zsh", "fish"]


def one_line(result):
    """The only line of stderr, which must be an error line of the program."""
    lines = result.err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("unpark: "), result
    return lines[0]


# ---- help ----


def test_bare_call_shows_three_first_steps(unpark):
    result = unpark()
    assert result.code == 0 and result.err == ""
    calls = re.findall(r"^  unpark (\w+)", result.out, re.M)
    assert calls == ["ps", "dump", "doctor"]


def test_program_help_lists_every_command(unpark):
    result = unpark("--help")
    assert result.code == 0
    for name in COMMANDS:
        assert re.search(rf"^  {name} ", result.out, re.M), name
    assert "generate-man" not in result.out and "__complete" not in result.out


@pytest.mark.parametrize("command", COMMANDS)
def test_command_help(unpark, command):
    result = unpark(command, "--help")
    assert result.code == 0 and result.err == ""
    assert result.out.startswith(f"unpark {command} - ")
    assert f"Usage: unpark {command}" in result.out
    for status in ("  0 ", "  2 ", "  6 "):
        assert f"\n{status}" in result.out
    assert max(map(len, result.out.splitlines())) <= 100
    assert result.bytes == unpark("help", command).bytes == unpark(command, "-h").bytes


def test_help_wins_over_a_wrong_call(unpark):
    assert unpark("dump", "--help", "--nonsense").code == 0


def test_dump_help_names_every_filter(unpark):
    text = unpark("dump", "--help").out
    for name in ("state", "wait", "function", "file", "creator", "start", "label", "min-age", "id"):
        assert f"--{name}" in text, name


def test_version(unpark):
    result = unpark("version")
    assert re.match(r"unpark \d+\.\d+\.\d+\nreads Go 1\.18 to 1\.\d+", result.out)
    assert result.bytes == unpark("--version").bytes == unpark("-V").bytes


# ---- usage errors ----


@pytest.mark.parametrize("words, part", [
    (["dmp"], "did you mean unpark dump?"),
    (["1234"], "did you mean unpark dump 1234?"),
    (["name:etcd"], "did you mean unpark dump name:etcd?"),
    (["help", "dmup"], "did you mean unpark dump?"),
    (["dump"], "no target"),
    (["dump", "1", "2"], "one argument too many"),
    (["dump", "--frmat=go", "1"], "did you mean --format?"),
    (["dump", "--format=jsn", "1"], "did you mean json?"),
    (["dump", "--json=1", "1"], "--json takes no value"),
    (["dump", "--limit"], "--limit needs a value"),
    (["dump", "--limit=x", "1"], "not a number"),
    (["dump", "--limit=99999999999999999999", "1"], "out of range"),
    (["dump", "--pid=0"], "out of range"),
    (["dump", "-Z", "1"], "unknown option -Z"),
    (["dump", "--max-stop=3", "1"], "duration"),
    (["dump", "--json", "--format=go", "1"], "contradict"),
    (["dump", "--each", "--goroutine=1", "1"], "exclude each other"),
    (["dump", "-p1", "2"], "one target at a time"),
    (["dump", "--exe=/bin/true", "1"], "core file only"),
    (["dump", "--function=/(/", "1"], "--function"),
    (["dump", "/etc"], "not a regular file"),
    (["completions"], "SHELL is missing"),
    (["completions", "tcsh"], "bash, zsh, fish"),
    (["doctor", "x"], "not a pid"),
    (["--json", "ps"], "options follow the command"),
    (["name:"], "is not a command"),
    (["dump", "name:"], "needs a pattern"),
])
def test_usage_errors(unpark, words, part):
    result = unpark(*words)
    assert result.code == 2 and result.out == "", result
    assert part in one_line(result)


def test_bytes_of_the_call_are_escaped(unpark):
    result = unpark("dump", "/x\x1b[31m\n")
    assert result.code == 3
    assert "\\x1b[31m\\x0a" in one_line(result)


def test_options_mix_with_arguments(unpark):
    gone = 2 ** 22 + 1
    for words in (["-jn5", str(gone)], [str(gone), "-j", "-n", "5"], ["--limit=5", "--", str(gone)],
                  ["--limit", "5", "-qv", str(gone)]):
        result = unpark("dump", *words)
        assert result.code == 3 and f"{gone}" in one_line(result), result


# ---- targets that cannot be read ----


def test_vanished_process(unpark):
    with subprocess.Popen(["/bin/true"]) as process:
        process.wait()
        result = unpark("dump", process.pid)
    assert result.code == 3 and result.out == ""
    assert str(process.pid) in one_line(result)


def test_missing_file(unpark):
    result = unpark("dump", "/does/not/exist")
    assert result.code == 3 and "/does/not/exist" in one_line(result)


def test_name_without_match(unpark):
    result = unpark("dump", "name:no-such-program-anywhere")
    assert result.code == 3 and "no Go process" in one_line(result)


def test_file_that_is_no_core(unpark, tmp_path):
    path = tmp_path / "12345"
    path.write_bytes(b"no core at all")
    result = unpark("dump", "--core", path.name, cwd=tmp_path)
    assert result.code in (2, 3) and "12345" in one_line(result)


@pytest.fixture
def sleeper():
    """A process that is no Go program and waits for its stdin."""
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdin.write(b"up\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"up\n"
        yield process


def test_not_go(unpark, sleeper):
    result = unpark("dump", sleeper.pid)
    assert result.code == 3 and result.out == ""
    line = one_line(result)
    assert "not a Go program" in line and line.count(str(sleeper.pid)) == 1
    result = unpark("doctor", sleeper.pid)
    assert result.code == 3 and "not a Go program" in result.out


def as_nobody():
    """The words that run a program as another user without capabilities, or a skip."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("needs root and setpriv")
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all",
            "--bounding-set=-all"]


@pytest.fixture(scope="module")
def public_unpark(tmp_path_factory):
    """A copy of the program that every user can run."""
    folder = tmp_path_factory.mktemp("public")
    for parent in [folder, *folder.parents]:
        if parent.owner() != "root" or parent == parent.parent or parent.name == "tmp":
            break
        parent.chmod(0o755)
    copy = folder / "unpark"
    shutil.copy(UNPARK, copy)
    copy.chmod(0o755)
    return copy


def run_as_nobody(program, *words):
    done = subprocess.run([*as_nobody(), str(program), *map(str, words)], capture_output=True,
                          text=True, stdin=subprocess.DEVNULL, cwd="/", timeout=120)
    if done.returncode in (126, 127):
        pytest.skip(f"another user cannot run it: {done.stderr}")
    return done


def test_permission(public_unpark, parked):
    done = run_as_nobody(public_unpark, "dump", parked.pid)
    assert done.returncode == 4 and done.stdout == "", done
    assert len(done.stderr.splitlines()) == 1
    assert str(parked.pid) in done.stderr
    # what to do stands in parentheses at the end
    assert re.search(r"\(.*(root|CAP_SYS_PTRACE|ptrace_scope).*\)$", done.stderr.strip())


def test_doctor_explains_permission(public_unpark, parked):
    done = run_as_nobody(public_unpark, "doctor", parked.pid)
    assert done.returncode == 4
    assert re.search(r"^fail +memory", done.stdout, re.M) and "-> " in done.stdout


def test_ps_lists_what_is_not_permitted(public_unpark, parked):
    done = run_as_nobody(public_unpark, "ps", "--json")
    assert done.returncode == 0
    rows = [row for row in json.loads(done.stdout) if row["pid"] == parked.pid]
    # its executable is readable only if its folder is; when it is listed, the reason stands there
    for row in rows:
        assert row["goroutines"] is None and row["reachable"] is False


# ---- ps ----


def test_ps_json(unpark, parked):
    rows = unpark("ps", "--json").json()
    assert isinstance(rows, list)
    row = next(row for row in rows if row["pid"] == parked.pid)
    assert row["go"].startswith("go1.") and row["module"] == "example.com/unpark/fixtures"
    assert row["goroutines"] > 40 and row["threads"] > 1 and row["reachable"] is True
    assert row["age_ns"] > 0
    assert all(isinstance(row["pid"], int) for row in rows)
    assert [row["pid"] for row in rows] == sorted(row["pid"] for row in rows)


def test_ps_text(unpark, parked, sleeper):
    lines = unpark("ps").out.splitlines()
    assert any(re.match(rf"\s*{parked.pid}\s", line) for line in lines[1:])
    assert not any(re.match(rf"\s*{sleeper.pid}\s", line) for line in lines[1:])


def test_completion_targets_are_go_processes(unpark, parked, sleeper):
    pids = [line.split("\t")[0] for line in unpark("__complete-targets").out.splitlines()]
    assert str(parked.pid) in pids and str(sleeper.pid) not in pids


def test_name_with_several_matches(unpark, newest, start, tmp_path):
    binary = tmp_path / f"twin-{os.getpid()}"  # no other test run has such programs
    shutil.copy(newest.build("parked"), binary)
    programs = [start(binary), start(binary)]
    result = unpark("dump", f"name:{binary.name}")
    assert result.code == 2
    line = one_line(result)
    for program in programs:
        assert re.search(rf"\b{program.pid} \S*fixtures/parked", line)


# ---- dump ----


def test_dump_json(unpark, parked):
    data = unpark("dump", parked.pid, "--json").json()
    assert data["schema"] == "unpark.dump/1"
    assert data["target"]["pid"] == parked.pid
    summary = data["summary"]
    for key in ("goroutines", "system", "threads", "read_ns", "stopped_ns"):
        assert type(summary[key]) is int, key
    assert summary["stopped_ns"] == 0 and summary["read_ns"] > 0 and summary["system"] > 0
    assert sum(group["count"] for group in data["groups"]) == summary["goroutines"]
    each = unpark("dump", parked.pid, "--json", "--each").json()
    assert len(each["goroutines"]) == each["summary"]["goroutines"]


def test_dump_ndjson(unpark, parked):
    lines = unpark("dump", parked.pid, "--ndjson").out.splitlines()
    objects = [json.loads(line) for line in lines]
    assert len(objects) > 10 and "summary" in objects[-1]


def test_dump_forms_agree(unpark, parked):
    pid = parked.pid
    assert set(unpark("dump", pid, "-j").json()) == set(unpark("dump", pid, "--format", "json").json())
    assert unpark("dump", "-fgo", "-p", pid).out.startswith("goroutine ")


def test_dump_filters_and_limits(unpark, parked):
    each = unpark("dump", parked.pid, "--json", "--each", "--state=waiting", "--wait=select").json()
    assert each["goroutines"]
    limited = unpark("dump", parked.pid, "--json", "--each", "-n3").json()
    assert len(limited["goroutines"]) == 3
    one = each["goroutines"][0]["id"]
    only = unpark("dump", parked.pid, "--json", "--goroutine", one).json()
    assert [goroutine["id"] for goroutine in only["goroutines"]] == [one]
    assert f"{one}" in unpark("dump", parked.pid, "-g", one).out


def test_dump_system_goroutines(unpark, parked):
    data = unpark("dump", parked.pid, "--json", "--each").json()
    everything = unpark("dump", parked.pid, "--json", "--each", "--all").json()
    system = unpark("dump", parked.pid, "--json", "--each", "--system-only").json()
    assert len(everything["goroutines"]) == len(data["goroutines"]) + len(system["goroutines"])
    assert len(system["goroutines"]) == data["summary"]["system"]


def test_dump_of_a_missing_goroutine(unpark, parked):
    result = unpark("dump", parked.pid, "--goroutine=99999999")
    assert result.code == 3 and "99999999" in one_line(result)


def test_exit_code_option(unpark, parked):
    assert unpark("dump", parked.pid, "--exit-code").code == 1
    assert unpark("dump", parked.pid, "--exit-code", "--function=no.such.function").code == 0


def test_user_frames_say_what_they_hide(unpark, parked):
    full, user = unpark("dump", parked.pid), unpark("dump", parked.pid, "--user")
    assert len(user.out) < len(full.out)
    assert re.search(r"\d+ frames?", user.out) and "hidden" in user.out


def test_stop_adds_stacks_of_running_goroutines(unpark, newest, start):
    """A goroutine that runs for ever has a stack with --stop only, and the stop is short."""
    program = start(newest.build("running"))
    without = unpark("dump", program.pid, "--json", "--each", "--state=running").json()
    assert without["summary"]["stopped_ns"] == 0
    assert all(not goroutine["stack"] for goroutine in without["goroutines"])
    result = unpark("dump", program.pid, "--json", "--each", "--stop", "--max-stop=0", "--function=main.spin")
    data = result.json()
    assert result.code == 0 and data["goroutines"], result
    assert 0 <= data["summary"]["stopped_ns"] < 60_000_000_000
    assert program.alive()


def test_stop_of_a_program_that_rests_is_no_stop(unpark, parked):
    assert unpark("dump", parked.pid, "--json", "--stop").json()["summary"]["stopped_ns"] == 0


def test_default_mode_does_not_attach(unpark, parked):
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    # the leak checker of a sanitized build cannot work under strace
    options = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
    result = unpark("dump", parked.pid, env={"ASAN_OPTIONS": options},
                    prefix=["strace", "-f", "-e", "trace=ptrace", "-o", "/dev/fd/2"])
    assert result.code == 0 and "ptrace(" not in result.err


# ---- colour and progress ----


def test_no_color_into_pipes(unpark, parked):
    assert "\x1b" not in unpark("dump", parked.pid).out
    assert "\x1b" in unpark("dump", parked.pid, "--color=always").out
    assert "\x1b" in unpark("dump", parked.pid, env={"CLICOLOR_FORCE": "1"}).out
    assert "\x1b" not in unpark("dump", parked.pid, env={"CLICOLOR_FORCE": "1", "NO_COLOR": "1"}).out
    assert "\x1b" not in unpark("dump", parked.pid, "--json", "--color=always").out


def on_terminal(*words, env):
    """What the program writes to a terminal."""
    master, slave = pty.openpty()
    with subprocess.Popen([str(UNPARK), *map(str, words)], stdout=slave, stderr=slave,
                          stdin=subprocess.DEVNULL, env={**os.environ, **env}) as process:
        os.close(slave)
        output = b""
        while select.select([master], [], [], 60)[0]:
            try:
                chunk = os.read(master, 65536)
            except OSError:
                break
            if not chunk:
                break
            output += chunk
        os.close(master)
        process.wait(60)
    return output.decode(errors="replace")


def test_color_on_terminals(parked):
    clean = {"NO_COLOR": "", "CLICOLOR_FORCE": "", "FORCE_COLOR": ""}
    assert "\x1b[" in on_terminal("dump", parked.pid, env={**clean, "TERM": "xterm"})
    assert "\x1b[" not in on_terminal("dump", parked.pid, env={**clean, "TERM": "dumb"})
    assert "\x1b[" not in on_terminal("dump", parked.pid, env={**clean, "TERM": "xterm", "NO_COLOR": "1"})


# ---- output ----


def test_output_file(unpark, parked, tmp_path):
    path = tmp_path / "dump.json"
    result = unpark("dump", parked.pid, "--json", "-o", path)
    assert result.code == 0 and result.out == "" and result.err == ""
    assert json.loads(path.read_text())["schema"] == "unpark.dump/1"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["dump.json"]


def test_output_replaces_and_keeps_mode_and_link(unpark, parked, tmp_path):
    path, link = tmp_path / "real", tmp_path / "link"
    path.write_text("old")
    path.chmod(0o640)
    link.symlink_to(path)
    assert unpark("dump", parked.pid, "-o", link).code == 0
    assert link.is_symlink() and "goroutine" in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["link", "real"]


def test_failure_leaves_the_old_file(unpark, tmp_path, sleeper):
    path = tmp_path / "dump"
    path.write_text("old")
    assert unpark("dump", sleeper.pid, "-o", path).code == 3
    assert path.read_text() == "old"
    assert unpark("dump", sleeper.pid, "-o", tmp_path / "new").code == 3
    assert [entry.name for entry in tmp_path.iterdir()] == ["dump"]


def test_output_into_a_missing_folder(unpark, parked, tmp_path):
    result = unpark("dump", parked.pid, "-o", tmp_path / "none" / "dump")
    assert result.code == 6 and "none/dump" in one_line(result)
    assert unpark("dump", parked.pid, "-o", tmp_path).code == 2


def test_output_to_a_full_device(unpark, parked):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([UNPARK, "dump", str(parked.pid)], stdout=full, stderr=subprocess.PIPE,
                              text=True)
    assert done.returncode == 6 and len(done.stderr.splitlines()) == 1


def test_dash_is_stdout(unpark, parked):
    assert unpark("dump", parked.pid, "-j", "-o", "-").json()["schema"] == "unpark.dump/1"


@pytest.mark.parametrize("ignored", [False, True])
def test_reader_that_goes_away(parked, ignored):
    """EPIPE ends the program quietly, whether SIGPIPE is deadly or ignored."""
    def prepare():
        signal.signal(signal.SIGPIPE, signal.SIG_IGN if ignored else signal.SIG_DFL)

    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run([UNPARK, "dump", str(parked.pid)], stdout=write, stderr=subprocess.PIPE,
                              preexec_fn=prepare)
    finally:
        os.close(write)
    assert done.returncode in (-signal.SIGPIPE, 128 + signal.SIGPIPE)
    assert done.stderr == b""


def test_interrupt_leaves_nothing(parked, tmp_path):
    """A dump into a FIFO-fed file system entry is interrupted while it writes: no file is left."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with subprocess.Popen([UNPARK, "dump", str(parked.pid), "--all", "-o", str(fifo)],
                          stderr=subprocess.PIPE) as process:
        # the program blocks in opening the FIFO until a reader comes: it is surely running
        reader = os.open(fifo, os.O_RDONLY)
        process.send_signal(signal.SIGINT)
        process.wait(60)
        os.close(reader)
    assert process.returncode in (-signal.SIGINT, 0)
    assert [entry.name for entry in tmp_path.iterdir()] == ["fifo"]
    assert parked.alive()


# ---- completions ----


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_syntax(unpark, shell, tmp_path):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    script = tmp_path / "script"
    script.write_text(unpark("completions", shell).out)
    flag = "--no-execute" if shell == "fish" else "-n"
    done = subprocess.run([shell, flag, str(script)], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "", done.stderr


@pytest.mark.parametrize("shell", SHELLS)
def test_completions_know_every_option(unpark, shell):
    script = unpark("completions", shell).out
    for option in re.findall(r"^ .*--([a-z][a-z-]+)", unpark("dump", "--help").out, re.M):
        if option != "exe":
            assert option in script, option


def complete_in_bash(unpark, line, tmp_path):
    """What bash offers behind LINE."""
    script = tmp_path / "script"
    script.write_text(unpark("completions", "bash").out)
    words = re.split(r"(=)|\s+", line)
    words = [word for word in words if word] + ([""] if line.endswith((" ", "=")) else [])
    quoted = " ".join(f"'{word}'" for word in words)
    program = (f"source '{script}'; COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _unpark; "
               "printf '%s\\n' \"${COMPREPLY[@]}\"")
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, cwd=tmp_path,
                          env={**os.environ, "PATH": f"{UNPARK.parent}:{os.environ['PATH']}"})
    assert done.stderr == ""
    return done.stdout.split()


def test_bash_completes(unpark, parked, sleeper, tmp_path):
    assert complete_in_bash(unpark, "unpark du", tmp_path) == ["dump"]
    assert "--format=" in complete_in_bash(unpark, "unpark dump --fo", tmp_path)
    assert complete_in_bash(unpark, "unpark dump --color=n", tmp_path) == ["never"]
    assert complete_in_bash(unpark, "unpark completions z", tmp_path) == ["zsh"]
    pids = complete_in_bash(unpark, "unpark dump --pid=", tmp_path)
    assert str(parked.pid) in pids and str(sleeper.pid) not in pids


# ---- manual pages ----


def test_man_pages_are_up_to_date(unpark, tmp_path):
    assert unpark("generate-man", tmp_path).code == 0
    assert sorted(page.name for page in tmp_path.iterdir()) == sorted(PAGES)
    for page in PAGES:
        kept = ROOT / "docs" / "man" / page
        assert kept.exists() and kept.read_text() == (tmp_path / page).read_text(), \
            f"{page} differs: run unpark generate-man docs/man"


@pytest.mark.parametrize("page", PAGES)
def test_man_pages_render(page):
    if shutil.which("groff") is None:
        pytest.skip("groff is not installed")
    done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", str(ROOT / "docs" / "man" / page)],
                          capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == ""
    assert "EXIT STATUS" in re.sub(r"\x1b\[[0-9;]*m|.\x08", "", done.stdout)


def test_man_page_of_dump_documents_every_option(unpark):
    page = (ROOT / "docs" / "man" / "unpark-dump.1").read_text().replace("\\-", "-")
    for option in re.findall(r"--([a-z-]+)", unpark("dump", "--help").out):
        assert f"--{option}" in page, option


def test_doctor_in_general(unpark):
    result = unpark("doctor", "--json")
    assert result.code == 0
    subjects = {item["subject"] for item in result.json()}
    assert {"user", "CAP_SYS_PTRACE", "ptrace_scope"} <= subjects


def test_doctor_of_a_go_process(unpark, parked):
    result = unpark("doctor", parked.pid)
    assert result.code == 0 and re.search(r"^ok +goroutines", result.out, re.M)
