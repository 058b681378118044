"""A Kubeflow pipeline around retrain.py, for driftd's pipeline of kind "kubeflow".

`python retrain_pipeline.py retrain.yaml` compiles it; upload that, and give driftd its `pipeline_id`. The image has
driftd, skops, mlflow-skinny, and retrain.py where Python finds it; its environment says the rest (see retrain.py):
CALLBACK_SECRET comes from a secret of the namespace.
"""

import os
import sys

from kfp import compiler, dsl

IMAGE = os.environ.get("RETRAIN_IMAGE", "registry.example/retrain:1")


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def fit(candidate: dsl.Output[dsl.Model], model: str) -> None:
    """Rows whose labels have matured, and a candidate fitted on all but the newest of them."""
    import os
    import subprocess
    import sys

    environment = os.environ | {"WORK": candidate.path, "DRIFTD_MODEL": model}
    subprocess.run([sys.executable, "-m", "retrain", "rows", "fit"], env=environment, check=True)


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def gate(candidate: dsl.Input[dsl.Model]) -> None:
    """May it replace the model in service? Refused, the run ends here."""
    import os
    import subprocess
    import sys

    environment = os.environ | {"WORK": candidate.path}
    subprocess.run([sys.executable, "-m", "retrain", "gate"], env=environment, check=True)


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def release(candidate: dsl.Input[dsl.Model], model: str, driftd_id: str) -> None:
    """Register the candidate, let the alias name it, and report to driftd."""
    import os
    import subprocess
    import sys

    environment = os.environ | {"WORK": candidate.path, "DRIFTD_MODEL": model, "DRIFTD_ID": driftd_id}
    steps = ("register", "promote", "report")
    subprocess.run([sys.executable, "-m", "retrain", *steps], env=environment, check=True)


@dsl.pipeline(name="retrain")
def retrain(driftd_id: str = "", driftd_evidence: str = "", model: str = "bikes") -> None:
    """Fit, gate, release."""
    made = fit(model=model).set_caching_options(False)
    judged = gate(candidate=made.outputs["candidate"]).set_caching_options(False)
    released = release(candidate=made.outputs["candidate"], model=model, driftd_id=driftd_id)
    released.after(judged).set_caching_options(False)


if __name__ == "__main__":
    compiler.Compiler().compile(retrain, sys.argv[1])
