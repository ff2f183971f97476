"""The scripts, tried on two local stacks of the built binaries. `make test` runs them under the Python of the MiniStack venv."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
import unittest.mock
from pathlib import Path

INFRA = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(INFRA / "lib"))
import binaries  # noqa: E402
import cloud  # noqa: E402
import process  # noqa: E402
import stack as base  # noqa: E402
from stack import CONSUMERS, FUNCTIONS, ROOT, VENVS, WORKERS, Failure, Stack  # noqa: E402

BEGUN = ("ministack", *WORKERS)


def script(name, stack, *options, ok=True):
    """Runs one of the scripts; returns what it said."""
    done = subprocess.run([INFRA / name, "--stack", stack.name, *options], capture_output=True, text=True, timeout=120)
    if ok and done.returncode:
        raise AssertionError(f"{name} exited with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def remove(stack):
    """Takes a stack of these tests down, and its folder away."""
    script("down", stack)
    shutil.rmtree(stack.dir)


def pids(stack):
    return {name: (process.record_of(stack, name) or {}).get("pid") for name in BEGUN}


class LocalStack(unittest.TestCase):
    """One stack that stays up, for what can be seen on it."""

    @classmethod
    def setUpClass(cls):
        cls.stack = Stack(f"check{os.getpid() % 1000000}")
        cls.addClassCleanup(remove, cls.stack)
        script("up", cls.stack, "--no-build")
        cls.cloud = cloud.target(cls.stack, aws=False)

    def in_shell(self, command):
        """Runs a command in a shell that sourced the env file, and holds nothing else."""
        done = subprocess.run(["bash", "-euc", f'. "$0"; {command}', self.stack.env_file], env={"PATH": os.defpath},
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_it_listens_on_the_loopback_address_alone(self):
        found = {pid: process.listening(pid) for pid in process.marked(self.stack)}
        self.assertIn(("127.0.0.1", self.stack.port), found[pids(self.stack)["ministack"]])
        self.assertEqual({host for sockets in found.values() for host, _ in sockets}, {"127.0.0.1"}, found)

    def test_up_again_starts_and_deploys_nothing(self):
        before = pids(self.stack)
        said = script("up", self.stack, "--no-build")
        self.assertEqual(pids(self.stack), before)
        self.assertNotRegex(said, "created|updated|started")

    def test_a_killed_worker_is_the_only_one_that_up_starts_again(self):
        before = pids(self.stack)
        os.kill(before["generate-tts"], 9)
        process.wait_for(lambda: process.record_of(self.stack, "generate-tts") is None, 5)
        script("up", self.stack, "--no-build")
        after = pids(self.stack)
        self.assertNotIn(after.pop("generate-tts"), (None, before.pop("generate-tts")))
        self.assertEqual(after, before)

    def test_a_shell_can_source_the_env_file(self):
        url = self.in_shell('aws --endpoint-url "$AWS_ENDPOINT_URL" sqs get-queue-url --queue-name "$QSKETCH_TABLE-intake" '
                            "--query QueueUrl --output text")
        named = self.in_shell('echo "$QSKETCH_INTAKE_QUEUE_URL"; echo "${QSKETCH_QUEUE_URL_PREFIX}intake"; command -v qsketch')
        self.assertEqual(named.split()[:2], [url.strip()] * 2)
        self.assertTrue(url.startswith(f"http://127.0.0.1:{self.stack.port}/"))

    def test_workers_are_processes_named_after_their_services(self):
        for name in WORKERS:
            self.assertEqual(Path(f"/proc/{pids(self.stack)[name]}/comm").read_text().strip(), name)

    def test_each_consumed_queue_has_a_dead_letter_queue_and_outlasts_its_function(self):
        sqs, functions = self.cloud.client("sqs"), self.cloud.client("lambda")
        outputs = cloud.outputs(self.cloud, self.stack)
        for name in CONSUMERS:
            queue = sqs.get_queue_attributes(QueueUrl=outputs["QueueUrlPrefix"] + name, AttributeNames=["All"])["Attributes"]
            redrive = json.loads(queue["RedrivePolicy"])
            self.assertTrue(redrive["deadLetterTargetArn"].endswith(f"{name}-dead"))
            self.assertEqual(int(redrive["maxReceiveCount"]), 1000)
            self.assertEqual(queue["VisibilityTimeout"], "30")
            if name in FUNCTIONS:
                config = functions.get_function_configuration(FunctionName=outputs[f"{name.title().replace('-', '')}Function"])
                self.assertLessEqual(config["Timeout"], 30)

    def test_the_refund_secret_is_made_once_and_kept(self):
        ssm = self.cloud.client("ssm")
        name = f"/qsketch/{self.stack.name}/refund-secret"
        before = ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]
        self.assertEqual(before["Type"], "SecureString")
        self.assertRegex(before["Value"], "^[0-9a-f]{64}$")
        self.assertEqual(cloud.ensure_refund_secret(ssm, self.stack), name)
        after = ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]
        self.assertEqual((after["Value"], after["Version"]), (before["Value"], before["Version"]))
        config = self.cloud.client("lambda").get_function_configuration(FunctionName=f"qsketch-{self.stack.name}-notify")
        self.assertEqual(config["Environment"]["Variables"]["QSKETCH_REFUND_SECRET_PARAMETER"], name)

    def test_outputs_and_logs_answer(self):
        self.assertEqual(json.loads(script("outputs", self.stack, "--json"))["Table"], f"qsketch-{self.stack.name}")
        script("logs", self.stack, "--lines", "1")


class SecondStack(unittest.TestCase):
    """Stacks that come and go."""

    def test_a_second_stack_stands_beside_the_first_and_goes_without_a_trace(self):
        one, two = Stack(f"one{os.getpid() % 1000000}"), Stack(f"two{os.getpid() % 1000000}")
        for stack in (one, two):
            self.addCleanup(remove, stack)
            script("up", stack, "--no-build")
        self.assertNotEqual(one.port, two.port)
        before = pids(one)
        self.assertNotIn(None, before.values())
        script("down", two)
        self.assertEqual(process.marked(two), [])
        self.assertFalse(two.env_file.exists())
        self.assertEqual(pids(one), before)
        self.assertIn("is not up", script("outputs", two, ok=False))

    def test_down_leaves_nothing_even_after_ministack_was_killed(self):
        stack = Stack(f"dead{os.getpid() % 1000000}")
        self.addCleanup(remove, stack)
        script("up", stack, "--no-build")
        os.kill(pids(stack)["ministack"], 9)
        script("down", stack)
        self.assertEqual(process.marked(stack), [])


class Processes(unittest.TestCase):
    def test_a_pid_that_belongs_to_another_process_by_now_is_left_alone(self):
        with tempfile.TemporaryDirectory() as folder:
            stack = Stack("dev")
            stack.dir = Path(folder)
            stack.run = stack.dir / "run"
            stack.log = stack.dir / "log"
            child = process.start(stack, "sleeper", ["/bin/sleep", "600"], {})
            self.addCleanup(child.wait)
            self.addCleanup(child.kill)
            path = stack.run / "sleeper.json"
            record = json.loads(path.read_text())
            path.write_text(json.dumps({**record, "started": record["started"] - 1}))
            self.assertFalse(process.stop(stack, "sleeper"))
            self.assertIsNone(child.poll())
            path.write_text(json.dumps(record))
            self.assertTrue(process.stop(stack, "sleeper"))
            self.assertIsNotNone(child.poll())

    def test_stop_ends_the_whole_session_of_a_leader_that_ignores_it(self):
        with tempfile.TemporaryDirectory() as folder:
            stack = Stack("dev")
            stack.dir = Path(folder)
            stack.run = stack.dir / "run"
            stack.log = stack.dir / "log"
            child = process.start(stack, "shell", ["/bin/bash", "-c", "sleep 600 & exec sleep 601"], {"PATH": os.defpath})
            process.wait_for(lambda: len(process.marked(stack)) == 2, 5)
            process.stop(stack, "shell")
            child.wait()
            self.assertEqual(process.marked(stack), [])


class Code(unittest.TestCase):
    def test_the_same_binary_gives_the_same_zip(self):
        first = binaries.zip_of(b"binary")
        self.assertEqual(first, binaries.zip_of(b"binary"))
        self.assertNotEqual(first, binaries.zip_of(b"Binary"))


class Safety(unittest.TestCase):
    def change(self, action, replacement, kind="AWS::DynamoDB::Table"):
        resource = {"Action": action, "Replacement": replacement, "LogicalResourceId": "It", "ResourceType": kind}
        return {"Changes": [{"ResourceChange": resource}]}

    def test_a_change_that_may_lose_data_is_refused(self):
        where = {"StackName": "stack", "ChangeSetName": "change"}
        for action, replacement in (("Modify", "True"), ("Modify", "Conditional"), ("Remove", "False")):
            with self.assertRaises(Failure):
                cloud.refuse_loss(self.change(action, replacement), where)
        cloud.refuse_loss(self.change("Modify", "False"), where)
        cloud.refuse_loss(self.change("Modify", "True", "AWS::S3::BucketPolicy"), where)

    def test_a_lease_is_whole_seconds_within_bounds(self):
        for text, lease in (("", "30"), ("3", "3"), ("3600", "3600")):
            with unittest.mock.patch.dict(os.environ, QSKETCH_LEASE_SECS=text):
                self.assertEqual(base.lease_secs(), lease)
        for text in ("2", "3601", "5s", "-5", "05"):
            with unittest.mock.patch.dict(os.environ, QSKETCH_LEASE_SECS=text), self.assertRaises(Failure):
                base.lease_secs()

    def test_a_rate_limit_reads_as_the_services_read_it(self):
        for text in ("", "60/min", "5/s", "1/h", "600/min burst 20"):
            with unittest.mock.patch.dict(os.environ, QSKETCH_SPEECH_RATE=text):
                self.assertEqual(base.rate_limit("QSKETCH_SPEECH_RATE"), text)
        for text in ("60", "0/min", "60/day", "60/min burst", "60/min burst 0", "60/min\n"):
            with unittest.mock.patch.dict(os.environ, QSKETCH_SPEECH_RATE=text), self.assertRaises(Failure):
                base.rate_limit("QSKETCH_SPEECH_RATE")

    def test_a_cap_is_a_number_within_bounds_or_nothing(self):
        for text in ("", "1", "42", "500"):
            with unittest.mock.patch.dict(os.environ, QSKETCH_TENANT_JOBS_MAX=text):
                self.assertEqual(base.tenant_jobs_max(), text)
        for text in ("0", "501", "-1", "5x", "1000"):
            with unittest.mock.patch.dict(os.environ, QSKETCH_TENANT_JOBS_MAX=text), self.assertRaises(Failure):
                base.tenant_jobs_max()

    def test_a_stacks_name_cannot_leave_its_folder(self):
        for name in ("", "..", "a/b", "A", "-a", "_venv", "a" * 21, "a\n"):
            with self.assertRaises(Failure):
                Stack(name)

    def test_make_passes_the_prompt_on_as_it_was_typed(self):
        with tempfile.NamedTemporaryFile("w", suffix=".mk") as probe:
            probe.write('probe:\n\t@printf "%s" "$$QSKETCH_PROMPT"\n')
            probe.flush()
            for prompt in ("a \"b\" 'c' $HOME $(HOME) $(b `ls` \\ # x", "two\nlines $$ %", "-x", "数学 رياضيات"):
                told = subprocess.run(["make", "-s", "-C", ROOT, "-f", "Makefile", "-f", probe.name, "probe", f"PROMPT={prompt}"],
                                      capture_output=True, text=True, check=True).stdout
                self.assertEqual(told, prompt)


class Setup(unittest.TestCase):
    def test_setup_again_only_looks(self):
        said = subprocess.run([INFRA / "setup", "all"], capture_output=True, text=True, check=True).stdout
        self.assertEqual(said, "setup: ready: all\n")

    def test_no_lock_names_a_registry(self):
        for lock in (INFRA / "python").glob("*.lock"):
            self.assertNotIn("://", lock.read_text())
        self.assertTrue((VENVS / "manim" / "complete").exists())


if __name__ == "__main__":
    unittest.main()
