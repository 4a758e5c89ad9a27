"""What the fixtures start ends with the run, however that ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SERVICES = Path(__file__).parents[2]


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_run_ended_by_a_signal_leaves_nothing_running(tmp_path, sent):
    (tmp_path / "test_forever.py").write_text(
        "import signal\n"
        "def test_forever(postgres_server, redis_server, capfd):\n"
        "    with capfd.disabled():\n"
        "        print('started', postgres_server.process.pid, redis_server.process.pid, flush=True)\n"
        "    while True:\n"
        "        signal.pause()\n"
    )
    run = subprocess.Popen([sys.executable, "-m", "pytest", "-q", "-p", "conftest", "-p", "no:cacheprovider", "--rootdir", tmp_path, tmp_path],
                           cwd=SERVICES, env=os.environ | {"PYTHONPATH": f"{SERVICES}:{os.environ.get('PYTHONPATH', '')}"},
                           stdout=subprocess.PIPE, text=True)  # fmt: skip
    started = []
    for line in run.stdout:
        if "started" in line:
            started = [int(pid) for pid in line.split("started")[1].split()]
            break
    assert len(started) == 2
    run.send_signal(sent)
    run.communicate()
    for pid in started:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
