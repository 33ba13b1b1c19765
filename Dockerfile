# The images of docker-compose.yaml and of deploy/helm.
#   airflow  Airflow's processes: DAGs, plugins, preprocessing, training's source. No torch: no Airflow process trains.
#   local    the local SageMaker, which runs the training jobs: the same plus torch
#   test     tests/compose and pytest
# Every version comes from requirements.txt (as a constraint) or deploy/docker/extra.txt; the *.in files only name packages.
# Packages are installed before code is copied, so that a code change builds in seconds.
ARG AIRFLOW_IMAGE=apache/airflow:slim-3.3.2-python3.11

FROM scratch AS code
COPY dags /dags
COPY plugins /plugins
COPY preprocessing /preprocessing
COPY training /training
COPY deploy/docker/stack.py deploy/docker/prepare.py deploy/docker/healthcheck.py /stack/

FROM ${AIRFLOW_IMAGE} AS packages
USER root
RUN install -d -o airflow -g 0 -m 0775 /var/lib/local-sagemaker /opt/airflow/logs
USER airflow
ENV PYTHONPATH=/opt/airflow
COPY --chown=airflow:0 requirements.txt deploy/docker/airflow.in deploy/docker/extra.txt /opt/packages/
RUN pip install --no-cache-dir -c /opt/packages/requirements.txt -r /opt/packages/airflow.in -r /opt/packages/extra.txt \
    && pip check \
    && python -c 'import airflow.providers.celery.executors.celery_executor'

FROM packages AS airflow
COPY --from=code --chown=airflow:0 / /opt/airflow/

FROM packages AS local-packages
# PyPI's torch for Linux includes several GB of CUDA, but the local SageMaker trains on CPUs. Set it to "" for GPUs.
ARG TORCH_INDEX_URL=https://download.pytorch.org/whl/cpu
COPY --chown=airflow:0 deploy/docker/local.in /opt/packages/
RUN PIP_EXTRA_INDEX_URL="${TORCH_INDEX_URL}" \
    pip install --no-cache-dir -c /opt/packages/requirements.txt -r /opt/packages/local.in \
    && pip check

FROM local-packages AS local
COPY --chown=airflow:0 local_sagemaker /opt/airflow/local_sagemaker
COPY --from=code --chown=airflow:0 / /opt/airflow/

FROM packages AS test
COPY --chown=airflow:0 deploy/docker/test.in /opt/packages/
RUN pip install --no-cache-dir -c /opt/packages/requirements.txt -r /opt/packages/test.in
COPY --chown=airflow:0 bin/local_stack /opt/airflow/bin/local_stack
COPY --chown=airflow:0 tests/compose /opt/airflow/tests/compose
ENV PYTHONPATH=/opt/airflow:/opt/airflow/bin
WORKDIR /opt/airflow/tests/compose
