# The images of docker-compose.yaml and of deploy/helm: one base, three targets.
#   airflow  Airflow's processes: DAGs, plugins, preprocessing, training's source. No torch: no Airflow process trains.
#   local    the local SageMaker, which runs the training jobs: everything of `airflow`, and torch
#   test     `local` with pytest and tests/compose
# Every version comes from requirements.txt (as a constraint) or deploy/docker/extra.txt; the *.in files only name packages.
ARG AIRFLOW_IMAGE=apache/airflow:slim-3.3.2-python3.11

FROM ${AIRFLOW_IMAGE} AS airflow
USER root
RUN install -d -o airflow -g 0 -m 0775 /var/lib/local-sagemaker /opt/airflow/logs
USER airflow
COPY --chown=airflow:0 requirements.txt deploy/docker/airflow.in deploy/docker/extra.txt /opt/stack/
RUN pip install --no-cache-dir -c /opt/stack/requirements.txt -r /opt/stack/airflow.in -r /opt/stack/extra.txt \
    && pip check
ENV PYTHONPATH=/opt/airflow
COPY --chown=airflow:0 deploy/docker/stack.py deploy/docker/prepare.py deploy/docker/healthcheck.py /opt/stack/
COPY --chown=airflow:0 training /opt/airflow/training
COPY --chown=airflow:0 preprocessing /opt/airflow/preprocessing
COPY --chown=airflow:0 plugins /opt/airflow/plugins
COPY --chown=airflow:0 dags /opt/airflow/dags

FROM airflow AS local
# PyPI's torch for Linux brings CUDA, several GB; the local SageMaker trains on CPUs. Set it empty for GPUs.
ARG TORCH_INDEX_URL=https://download.pytorch.org/whl/cpu
COPY --chown=airflow:0 deploy/docker/local.in /opt/stack/
RUN PIP_EXTRA_INDEX_URL="${TORCH_INDEX_URL}" \
    pip install --no-cache-dir -c /opt/stack/requirements.txt -r /opt/stack/local.in \
    && pip check
COPY --chown=airflow:0 local_sagemaker /opt/airflow/local_sagemaker

FROM local AS test
COPY --chown=airflow:0 deploy/docker/test.in /opt/stack/
RUN pip install --no-cache-dir -c /opt/stack/requirements.txt -r /opt/stack/test.in
COPY --chown=airflow:0 bin/local_stack /opt/airflow/bin/local_stack
COPY --chown=airflow:0 tests/compose /opt/airflow/tests/compose
ENV PYTHONPATH=/opt/airflow:/opt/airflow/bin
WORKDIR /opt/airflow/tests/compose
