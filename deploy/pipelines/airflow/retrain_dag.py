"""An Airflow DAG around retrain.py, for driftd's pipeline of kind "airflow": a task for each step, in the run's folder.

The workers' environment says the rest (see retrain.py): DRIFTD_MODEL, DRIFTD_CONFIG or ROWS, VERSIONS, DRIFTD_URL and
CALLBACK_SECRET, MLFLOW_TRACKING_URI; and here:
  RETRAIN_PYTHON   a Python that has driftd, skops and mlflow-skinny, which need not be Airflow's own
  RETRAIN_SCRIPT   where retrain.py is
  RETRAIN_RUNS     a folder that all workers see; each run has one in it
"""

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, chain

RUN = 'mkdir -p "$RETRAIN_RUNS/$DRIFTD_ID" && cd "$RETRAIN_RUNS/$DRIFTD_ID" && "$RETRAIN_PYTHON" "$RETRAIN_SCRIPT" '
STEPS = ("rows", "fit", "gate", "register", "promote", "report")

# A step that fails, or a gate that refuses, ends the run; a repeated one could register a version twice.
with DAG("retrain", schedule=None, max_active_runs=1, is_paused_upon_creation=False, default_args={"retries": 0}):
    chain(*(
        BashOperator(task_id=step, bash_command=RUN + step, env={"DRIFTD_ID": "{{ run_id }}"}, append_env=True)
        for step in STEPS
    ))
