"""A ModelTrainer with content-addressed uploads and patched container scripts.

The SDK adds a timestamp to each upload's key, so each build has a different definition, and the step cache never hits.
Here, a folder's key is the digest of its files. The SDK's container scripts are patched:

- Hyperparameters are quoted when they become shell variables.
- The package installer does not log its index URL, which contains a CodeArtifact token.
- SIGTERM, which SageMaker sends to the first process before a spot interruption or a stop, is forwarded to the training
  program instead of being lost in a shell.
- The program's exception becomes the job's failure reason (container_program.py).
- The log does not contain the environment.
- A single process runs without torchrun.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sagemaker.train.configs import Channel, DataSource, S3DataSource, SourceCode
from sagemaker.train.constants import SM_CODE, SM_DRIVERS, SOURCE_CODE_JSON, TRAIN_SCRIPT
from sagemaker.train.model_trainer import ModelTrainer

from airflow_sagemaker.definition.source_files import FIELDS_FILE, contents_of, digest_of
from airflow_sagemaker.exceptions import CompileError

CODE_IN_CONTAINER = "/opt/ml/input/data/code"
CONTAINER_ARGUMENTS = [f"/opt/ml/input/data/{SM_DRIVERS}/{TRAIN_SCRIPT}"]
"""For /bin/bash. With the SDK's command, `bash -c "chmod ... && sm_train.sh"`, a shell may stay above the script and
swallow SIGTERM, depending on whether bash optimises the fork away, as 5.2 does."""
PROGRAM = Path(__file__).with_name("container_program.py")
"""Replaces `common/program.py` of the drivers."""

_PATCHES = {
    "scripts/environment.py": (
        ("from __future__ import absolute_import\n", "from __future__ import absolute_import\n\nimport shlex\n"),
        ("f.write(f\"export {key}='{safe_serialize(value)}'\\n\")",
         "f.write(f\"export {key}={shlex.quote(safe_serialize(value))}\\n\")"),
        ('    logger.info("Environment Variables:")\n    log_env_variables(env_vars_dict=env_vars)\n',
         '    logger.info("%d environment variables: %s", len(env_vars), output_file)\n'),
    ),
    "scripts/install_requirements.py": (
        ('logger.info("Running: %s", " ".join(pip_cmd))',
         'logger.info("Running: pip install -r %s", requirements_file)'),
        ("subprocess.check_call(pip_cmd)",
         "\n".join((
             "code = subprocess.call(pip_cmd)",
             "    if code:",
             "        sys.exit(f\"pip install -r {requirements_file} failed with exit code {code}\")",
         ))),
    ),
    "common/utils.py": (
        ("\ndef is_worker_node() ", "\nfrom common.program import execute_commands  # noqa\n\n\ndef is_worker_node() "),
    ),
    "distributed_drivers/torchrun_driver.py": (
        ("    torch_cmd = []\n",
         "    if host_count == 1 and process_count == 1:\n"
         "        alone = {'RANK': '0', 'LOCAL_RANK': '0', 'WORLD_SIZE': '1', 'LOCAL_WORLD_SIZE': '1'}\n"
         "        os.environ.update(alone, MASTER_ADDR='127.0.0.1', MASTER_PORT=os.environ['SM_MASTER_PORT'])\n"
         "        return [get_python_executable(), entry_script, *hyperparameters_to_cli_args(hyperparameters)]\n\n"
         "    torch_cmd = []\n"),
    ),
    TRAIN_SCRIPT: (
        ("\ncheck_python\n\nset -x\n", "\ncheck_python\n\n"),
        ("sm_training.env\nset -x\n", "sm_training.env\n"),
        ("\ntrap 'handle_error' ERR\n",
         "\ntrap 'handle_error' ERR\ntrap 'exit 143' TERM  # stopped while installing: do not train\n"),
        ("\n$SM_PYTHON_CMD /opt/ml/input/data/sm_drivers/distributed_drivers/",
         "\nexec $SM_PYTHON_CMD /opt/ml/input/data/sm_drivers/distributed_drivers/"),
    ),
}  # fmt: skip


class ContentAddressedTrainer(ModelTrainer):  # type: ignore[misc]
    """A ModelTrainer that uploads code and drivers under their digest."""

    uploader: Any = None  # of the SDK's pydantic model: an Uploader
    code_bucket: str = ""
    code_prefix: str = ""
    fields: str | None = None

    def create_input_data_channel(
        self, channel_name: str, data_source: str | DataSource, key_prefix: str | None = None, **options: object
    ) -> Channel:
        """Upload a local folder under its digest; otherwise, do what the SDK does."""
        if channel_name not in (SM_CODE, SM_DRIVERS):
            channel: Channel = super().create_input_data_channel(channel_name, data_source, key_prefix, **options)
            return channel
        folder = Path(str(data_source))
        if channel_name == SM_DRIVERS:
            make_drivers_safe(folder)
        files = contents_of(folder)
        if channel_name == SM_CODE and self.fields is not None:
            if FIELDS_FILE in files:
                raise CompileError(f"{folder} contains a {FIELDS_FILE}, a name reserved for the table's fields")
            files[FIELDS_FILE] = self.fields.encode()
        prefix = f"{self.code_prefix}/{digest_of(files)}"
        self.uploader.upload(files, self.code_bucket, prefix)
        source = S3DataSource(
            s3_data_type="S3Prefix",
            s3_uri=f"s3://{self.code_bucket}/{prefix}",
            s3_data_distribution_type="FullyReplicated",
        )
        return Channel(channel_name=channel_name, data_source=DataSource(s3_data_source=source), input_mode="File")

    def _write_source_code_json(self, tmp_dir: TemporaryDirectory[str], source_code: SourceCode) -> None:
        """Write the container's path instead of this machine's, which the SDK writes."""
        content = source_code.model_dump() | {"source_dir": CODE_IN_CONTAINER}
        (Path(tmp_dir.name) / SOURCE_CODE_JSON).write_text(json.dumps(content, sort_keys=True))


def make_drivers_safe(folder: Path) -> None:
    """Patch the SDK's container scripts in place. Raises CompileError if they are not the known ones."""
    for name, patches in _PATCHES.items():
        path = folder / name
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        for found, wanted in patches:
            if text.count(found) != 1:
                raise CompileError(
                    f"The SageMaker SDK's {name} differs from the version that this package can patch. Unpatched, "
                    "it leaves hyperparameters unquoted in a shell and logs a token. Install sagemaker==3.27.0, or "
                    "a newer version of this package."
                )
            text = text.replace(found, wanted)
        path.write_text(text, encoding="utf-8")
    shutil.copy(PROGRAM, folder / "common" / "program.py")
