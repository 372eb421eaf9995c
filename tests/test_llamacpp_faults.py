"""What becomes of llama.cpp's process: whatever happens to it, an answer or one line, and no process left behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from openbook.errors import ModelError
from openbook.llamacpp import client as clients
from openbook.llamacpp import server as servers
from openbook.llamacpp.server import Server
from openbook.llms.llamacpp import LlamaCpp
from openbook.machine import activity
from openbook.types import Message, Usage
from processes import ENDLESS, ended, line_of, running, until

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals")

HELLO = [Message("user", "Tell me about Jonah, at length.")]
SOURCE = Path(clients.__file__).parents[2]


def answer(llm: LlamaCpp, max_tokens: int = 4) -> str:
    return "".join(part for part in llm.stream(HELLO, max_tokens) if isinstance(part, str))


def pid_of(llm: LlamaCpp) -> int:
    assert llm.client.server is not None
    return llm.client.server.pid


class TestWithoutWeights:
    """The child is started with another `xllamacpp`, or with none."""

    SETTINGS = {"context": 512, "threads": 1, "gpu_layers": 0}

    @pytest.mark.parametrize(
        ("library", "said"),
        [
            (
                "raise ImportError('libgomp.so.1: cannot open shared object file')",
                r"llama\.cpp is not whole here: [^\n]+",
            ),
            ("def get_device_info(): return []", r"llama\.cpp is not whole here: AttributeError: [^\n]+"),
            (
                "import os, signal; os.kill(os.getpid(), signal.SIGILL)",
                r"needs a newer processor\. Build it here [^\n]+",
            ),
            ("import os; os.kill(os.getpid(), 9)", r"was killed while it loaded, most likely for memory\. [^\n]+"),
            ("raise MemoryError('std::bad_alloc')", r"needs more memory\. Choose a smaller model or context [^\n]+"),
        ],
    )
    def test_an_engine_that_is_broken_is_one_line(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str, said: str
    ) -> None:
        (tmp_path / "xllamacpp.py").write_text(library, encoding="utf-8")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        server = Server(tmp_path / "a.gguf", self.SETTINGS)
        with pytest.raises(ModelError, match=rf"^The model a\.gguf [^\n]*{said}$"):
            server.url()
        assert not server.alive

    def test_a_log_that_is_longer_than_a_pipe_stops_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "xllamacpp.py").write_text(
            "import sys\nsys.stderr.write('a line of llama.cpp\\n' * 500_000)\nraise ImportError('the end')", "utf-8"
        )
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        with pytest.raises(ModelError, match="the end"):
            Server(tmp_path / "a.gguf", self.SETTINGS).url()

    @pytest.mark.parametrize("stopped", [True, False])
    def test_one_that_hangs_while_it_loads_is_ended(
        self, tmp_path: Path, loads_for_ever: pytest.MonkeyPatch, stopped: bool
    ) -> None:
        (tmp_path / "a.gguf").write_bytes(b"x" * 100)
        loads_for_ever.setattr(servers, "QUIET_SECONDS", 0.5)
        loads_for_ever.setattr(servers, "BYTES_A_SECOND", 200)
        loads_for_ever.setattr(servers, "LOOK_SECONDS", 0.1)
        server = Server(tmp_path / "a.gguf", self.SETTINGS)
        if stopped:
            os.kill(server.pid, signal.SIGSTOP)
        with pytest.raises(ModelError, match=r"^The model a\.gguf gave no sign of life for 1 s while [^\n]+\.$"):
            server.url()
        assert not server.alive

    def test_one_that_loads_slowly_is_waited_for(self, tmp_path: Path, loads_for_ever: pytest.MonkeyPatch) -> None:
        looks = iter(range(20))
        loads_for_ever.setattr(servers, "QUIET_SECONDS", 0.02)
        loads_for_ever.setattr(servers, "LOOK_SECONDS", 0.05)
        loads_for_ever.setattr(servers, "activity", lambda pid: next(looks, 19))
        with pytest.raises(ModelError, match="no sign of life"):
            Server(tmp_path / "a.gguf", self.SETTINGS).url()
        assert next(looks, None) is None

    @pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="the system does not tell")
    def test_activity_grows_with_what_is_read_and_written_and_not_with_time(self, tmp_path: Path) -> None:
        before = activity(os.getpid())
        (tmp_path / "a").write_bytes(bytes(100_000))
        assert activity(os.getpid()) >= before + 100_000
        with running("-c", "import time; print('ready', flush=True); time.sleep(600)") as process:
            line_of(process)
            os.kill(process.pid, signal.SIGSTOP)
            until(lambda: activity(process.pid) == activity(process.pid) > 0)
        assert activity(process.pid) == 0

    @pytest.mark.parametrize("begun", [True, False])
    def test_a_model_that_loads_for_ever_does_not_outlive_its_parent(self, tmp_path: Path, begun: bool) -> None:
        (tmp_path / "xllamacpp.py").write_text(
            "import time\nopen('begun', 'w').close()\nwhile True: time.sleep(9)", encoding="utf-8"
        )
        code = """
            import time
            from pathlib import Path
            from openbook.llamacpp.server import Server
            server = Server(Path("a.gguf"), {"context": 512})
            print(server.pid, flush=True)
            time.sleep(600)
        """
        env = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{SOURCE}"}
        with running("-c", textwrap.dedent(code), env=env, cwd=tmp_path) as parent:
            pid = int(line_of(parent))
            if begun:
                until((tmp_path / "begun").exists)
            parent.kill()
            assert ended(pid)


@pytest.mark.models
class TestFaults:
    @pytest.fixture
    def file(self, weights: Path, tmp_path: Path) -> Path:
        return Path(shutil.copy(weights, tmp_path / "a.gguf"))

    @pytest.fixture
    def llm(self, file: Path) -> Iterator[LlamaCpp]:
        llm = LlamaCpp(model=str(file), context=1024)
        yield llm
        llm.close()

    def test_killed_while_loading_is_one_line_and_the_next_question_is_answered(
        self, llm: LlamaCpp, loads_for_ever: pytest.MonkeyPatch
    ) -> None:
        llm.prepare()
        server = llm.client.server
        assert server is not None
        threading.Timer(0.3, os.kill, (server.pid, signal.SIGKILL)).start()
        with pytest.raises(ModelError, match=r"^The model a\.gguf was killed while it loaded, [^\n]+\.$"):
            server.url()
        loads_for_ever.undo()
        assert answer(llm)

    def test_one_that_hangs_is_ended_and_the_next_question_is_answered(
        self, llm: LlamaCpp, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert answer(llm)  # its prompt is read: what comes from here on comes word by word
        with monkeypatch.context() as patch:
            patch.setattr(clients, "STREAM_SILENT_SECONDS", 15.0)  # a busy machine may say nothing for a second
            stream = llm.stream(HELLO, 900, ENDLESS)
            next(stream)
            pid = pid_of(llm)
            os.kill(pid, signal.SIGSTOP)
            with pytest.raises(ModelError, match=r"^a gave no sign of life, so its process was ended\. Ask again\.$"):
                list(stream)
        assert ended(pid)
        assert answer(llm)

    def test_a_file_cut_while_it_answers_is_said(self, llm: LlamaCpp, file: Path) -> None:
        stream = llm.stream(HELLO, 900, ENDLESS)
        next(stream)
        os.truncate(file, 1000)
        with pytest.raises(ModelError, match=r"^[^\n]+(cut or written over meanwhile|written over while)[^\n]+$"):
            list(stream)
        with pytest.raises(ModelError, match=r"^a\.gguf is damaged: it ends after 1,000 bytes"):
            answer(llm)

    def test_a_file_written_over_between_questions_is_loaded_anew(self, llm: LlamaCpp, file: Path) -> None:
        first, pid = answer(llm), pid_of(llm)
        file.write_bytes(file.read_bytes() + b"\0" * 32)
        assert answer(llm) == first
        assert pid_of(llm) != pid

    def test_another_file_by_that_name_answers_from_the_next_question_on(self, llm: LlamaCpp, file: Path) -> None:
        stream = llm.stream(HELLO, 40)
        next(stream)
        pid = pid_of(llm)
        Path(shutil.copy(file, file.with_suffix(".new"))).replace(file)
        assert isinstance(list(stream)[-1], Usage)  # what it had in memory is the old file, whole
        assert answer(llm)
        assert pid_of(llm) != pid
        assert ended(pid)

    def test_a_file_that_is_gone_answers_as_long_as_its_process_lives(self, llm: LlamaCpp, file: Path) -> None:
        first = answer(llm)
        file.unlink()
        assert answer(llm) == first
        os.kill(pid_of(llm), signal.SIGKILL)
        with pytest.raises(ModelError, match=r"^The model a\.gguf is not there\. Check the path, [^\n]+$"):
            answer(llm)

    def test_two_processes_answer_at_once_each_at_its_own_port(self, weights: Path) -> None:
        llms = [LlamaCpp(model=str(weights), context=512) for _ in range(2)]
        assert len({answer(llm) for llm in llms}) == 1
        assert len({llm.client.server.url() for llm in llms if llm.client.server}) == 2
        for llm in llms:
            llm.close()

    @pytest.mark.parametrize("limit_mb", [200, 400])
    def test_too_little_memory_is_one_line(self, weights: Path, limit_mb: int) -> None:
        code = f"""
            import resource, sys
            resource.setrlimit(resource.RLIMIT_AS, ({limit_mb << 20},) * 2)
            from openbook.errors import ModelError
            from openbook.llamacpp.server import Server
            from pathlib import Path
            try:
                Server(Path(sys.argv[1]), {{"context": 4096, "threads": 2, "gpu_layers": 0}}).url()
            except ModelError as error:
                print(error)
        """
        env = {**os.environ, "PYTHONPATH": str(SOURCE)}
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code), weights], capture_output=True, text=True, env=env, check=False
        )
        assert done.stdout.startswith(f"The model {weights.name} needs more memory. Choose a smaller model or context")
        assert done.stderr == ""

    def test_many_slots_end_with_their_parent(self, weights: Path) -> None:
        code = """
            import sys, threading, time
            from openbook.llms.llamacpp import LlamaCpp
            from openbook.types import Message
            llm = LlamaCpp(model=sys.argv[1], context=512, parallel=3)
            streams = [llm.stream([Message("user", f"Count to {n} thousand.")], 400) for n in range(3)]
            threads = [threading.Thread(target=next, args=(stream,)) for stream in streams]
            [thread.start() for thread in threads]
            [thread.join() for thread in threads]
            print(llm.client.server.pid, flush=True)
            time.sleep(600)
        """
        with running("-c", textwrap.dedent(code), weights) as parent:
            pid = int(line_of(parent))
            parent.kill()
            assert ended(pid)


@pytest.mark.models
class TestKeptPrompt:
    LONG = [Message("user", "And he went up to the mountain. " * 40 + "Who?")]

    def ask(self, weights: Path, **options: Any) -> Usage:
        options = {"context": 1024, "keep_prompt": True, **options}
        llm = LlamaCpp(model=str(weights), **options)
        usage = [part for part in llm.stream(self.LONG, 1) if isinstance(part, Usage)]
        llm.close()
        return usage[0]

    def test_the_next_run_goes_on_where_this_one_ended(self, weights: Path, openbook_home: Path) -> None:
        first, again = self.ask(weights), self.ask(weights)
        assert first.cached_tokens == 0
        assert again.cached_tokens > 0.9 * again.prompt_tokens
        (kept,) = (openbook_home / "cache").iterdir()
        assert kept.stat().st_mode & 0o077 == 0
        assert self.ask(weights, cache_type="q8_0").cached_tokens == 0

    def test_without_the_option_nothing_is_written(self, weights: Path, openbook_home: Path) -> None:
        self.ask(weights, keep_prompt=False)
        assert not (openbook_home / "cache").exists()

    @pytest.mark.parametrize("left", [0, 20, 2000])
    def test_a_damaged_file_is_left_aside(self, weights: Path, openbook_home: Path, left: int) -> None:
        self.ask(weights)
        (kept,) = (openbook_home / "cache").iterdir()
        os.truncate(kept, left)
        assert self.ask(weights).cached_tokens == 0
        assert self.ask(weights).cached_tokens > 100
