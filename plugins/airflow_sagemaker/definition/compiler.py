"""Turns a configuration into a pipeline definition, in a child process, which is the only one to import the SDK."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Mapping, Sequence

from filelock import Timeout

from airflow_sagemaker.aws.versions import CompiledPipeline, Upload
from airflow_sagemaker.config.base import BasePipelineConfig
from airflow_sagemaker.definition.child_process import OnChild, compile_in_child, default_python
from airflow_sagemaker.definition.disk_cache import DiskCache, cache_key, module_digests
from airflow_sagemaker.definition.published import COMMAND, Publications, Subject
from airflow_sagemaker.definition.request import modules_needed, request_of
from airflow_sagemaker.definition.s3_cache import S3Cache
from airflow_sagemaker.definition.source_files import IGNORE_FILE, sha256s_of, source_files
from airflow_sagemaker.exceptions import (
    CompileError,
    CompileTimeout,
    ConfigurationError,
    SdkNotAvailable,
    Violation,
)
from airflow_sagemaker.types import JsonObject

DEFAULT_TIMEOUT_SECONDS = 180.0

log = logging.getLogger(__name__)


def compile_pipeline(
    config: BasePipelineConfig,
    *,
    dependencies: Sequence[str] = (),
    followups: Sequence[str] = (),
    sdk_python: str | None = None,
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
    on_child: OnChild | None = None,
    cache: DiskCache | None = None,
    shared: S3Cache | None = None,
    published: Publications | None = None,
) -> CompiledPipeline:
    """Return the definition of a configuration, from the cache or compiled in a child process.

    `dependencies` and `followups` are "module:function" references, in addition to the configuration's. `sdk_python` is
    the interpreter that has the SDK (default: AIRFLOW_SAGEMAKER_SDK_PYTHON, or this one). `on_child` is called with the
    child process when it runs. AWS is called only for `shared`, a cache in S3 for other hosts, and `published`
    definitions, which are used before anything is compiled, and without the SDK. Of concurrent equal calls, in any
    process of this machine, one compiles and the others wait for it. Files of `source_dir` that are excluded are
    logged.

    Raises ConfigurationError for an invalid configuration or invalid sources, and CompileError.
    """
    config = _with_references(config, dependencies, followups)
    sources = _checked_sources(config)
    python = sdk_python or default_python()
    request = request_of(config)
    modules = modules_needed(config)
    cache = cache or DiskCache()
    key, no_sdk = _key_or_reason(request, sources, modules, python)
    entry = cache.get(key)
    if published is not None:
        subject = Subject.of(config, sources, module_digests(modules))
        # No call for what this host has compiled, unless it may have been published since.
        found = None if entry is not None and published.missed_lately(subject) else published.find(config, subject)
        if found is not None:
            return found
    if no_sdk is not None:
        if published is None:
            raise no_sdk
        raise SdkNotAvailable(f"{published.miss}: run {COMMAND}. Compiling it here failed too: {no_sdk}") from None
    if entry is None:
        try:
            with cache.lock(key, timeout_seconds):
                entry = cache.get(key) or _from_s3(key, cache, shared, sources)
                if entry is None:
                    entry = _compile_anew(request, key, cache, python, modules, timeout_seconds, on_child)
                    if shared is not None:
                        shared.put(key, entry)
        except Timeout:
            raise CompileTimeout(
                f"another process has been compiling the same definition for {timeout_seconds:g} s"
            ) from None
        except OSError as error:
            hint = "free some disk space, or set AIRFLOW_SAGEMAKER_CACHE_DIR to another folder"
            raise CompileError(f"the compile cache {cache.folder} cannot be used: {error}; {hint}") from error
    return _compiled_pipeline(config, entry, cache)


def _key_or_reason(
    request: JsonObject, sources: Mapping[str, str], modules: Sequence[str], python: str
) -> tuple[str, SdkNotAvailable | None]:
    """Return the cache's key; without an SDK an empty one, which no entry has, and the reason."""
    try:
        return cache_key(request, sources, modules, python), None
    except SdkNotAvailable as error:
        return "", error


def subject_of(config: BasePipelineConfig) -> Subject:
    """Return the subject of this configuration's publication. Raises the same errors as `compile_pipeline`."""
    return Subject.of(config, _checked_sources(config), module_digests(modules_needed(config)))


def _with_references(
    config: BasePipelineConfig, dependencies: Sequence[str], followups: Sequence[str]
) -> BasePipelineConfig:
    if not dependencies and not followups:
        return config
    return config.updated(dependencies=(*config.dependencies, *dependencies), followups=(*config.followups, *followups))


def _checked_sources(config: BasePipelineConfig) -> dict[str, str]:
    """Raise all violations before a process is started; return the sha256 of each source."""
    violations = []
    try:
        config.require(["role_arn", "region"] if config.code_bucket else ["bucket", "role_arn", "region"])
    except ConfigurationError as error:
        violations += error.violations
    violations += config.source_violations()
    if violations:
        raise ConfigurationError(violations)
    source = source_files(config.source_dir)
    if source.left_out:
        names = ", ".join(source.left_out[:20]) + (", ..." if len(source.left_out) > 20 else "")
        log.info(
            "Excluded from %s: %s. To upload one of them, add !NAME to its %s", config.source_dir, names, IGNORE_FILE
        )
    program = getattr(config, config.entry_point_field) if config.entry_point_field else None
    if program is not None and os.path.normpath(program) not in source.files:
        rule = f"is excluded by the default patterns or by {IGNORE_FILE}"
        hint = f"add !{program} to {IGNORE_FILE}"
        raise ConfigurationError([Violation(config.entry_point_field, program, rule, hint)])
    return sha256s_of(source.files)


def _from_s3(key: str, cache: DiskCache, shared: S3Cache | None, sources: Mapping[str, str]) -> JsonObject | None:
    """Return another host's entry, after moving it into this host's cache, or None."""
    if shared is None:
        return None
    with cache.work_folder() as folder:
        entry = shared.get(key, folder, sources)
        if entry is not None:
            cache.put(key, entry)
    return entry


def _compile_anew(
    request: JsonObject,
    key: str,
    cache: DiskCache,
    python: str,
    modules: Sequence[str],
    timeout: float,
    on_child: OnChild | None,
) -> JsonObject:
    with cache.work_folder() as folder:
        response = compile_in_child(request, folder, python=python, modules=modules, timeout=timeout, on_child=on_child)
        cache.put(key, response)
    return response


def _compiled_pipeline(config: BasePipelineConfig, entry: JsonObject, cache: DiskCache) -> CompiledPipeline:
    definition: str = entry["definition"]
    uploads = tuple(
        Upload(
            path=str(cache.blob(item["sha256"])),
            bucket=item["bucket"],
            key=item["key"],
            sha256=item["sha256"],
            size=item["size"],
        )
        for item in entry["uploads"]
    )
    return CompiledPipeline(
        pipeline_name=config.pipeline_name,
        definition=definition,
        digest=hashlib.sha256(definition.encode()).hexdigest(),
        role_arn=str(config.role_arn),
        uploads=uploads,
        tags=dict(config.tags),
        region=str(config.region),
    )
