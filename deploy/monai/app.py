"""A MONAI Deploy application: one operator around ``pelvimets predict --dicom``.

    python deploy/monai/app.py -i STUDY -o OUT

It needs ``pip install monai-deploy-app-sdk 'pelvimets[pdf]'``. Research use only.
"""

from __future__ import annotations

import sys
from pathlib import Path

from monai.deploy.core import AppContext, Application, Fragment, Operator, OperatorSpec

from pelvimets.app.predict import predict
from pelvimets.errors import PelvimetsError
from pelvimets.requests.predict import RunOptions, StudyInput


class PelvimetsOperator(Operator):
    """Reads a folder with one DICOM study; writes masks, report, SEG, SR and PDF.

    Named inputs: none; the folder comes from the application. Named outputs: ``result``, the folder
    of the result.
    """

    def __init__(self, fragment: Fragment, *args, study: Path, out: Path, **named) -> None:
        self._study, self._out = study, out
        super().__init__(fragment, *args, **named)

    def setup(self, spec: OperatorSpec) -> None:
        """Declare the output."""
        spec.output("result")

    def compute(self, op_input, op_output, context) -> None:
        """Read the study; an error of pelvimets says what is wrong and ends the application."""
        predict(StudyInput(self._study), self._out, RunOptions(dicom=True, overwrite=True))
        op_output.emit(self._out, "result")


class SaidOperator(Operator):
    """Names the result; a graph needs somebody who receives."""

    def setup(self, spec: OperatorSpec) -> None:
        """Declare the input."""
        spec.input("result")

    def compute(self, op_input, op_output, context) -> None:
        """Say where the report is."""
        print(f"Report: {op_input.receive('result') / 'report.html'}")


class PelvimetsApp(Application):
    """Study in, result out."""

    def compose(self) -> None:
        """One operator and its reader."""
        context: AppContext = Application.init_app_context(self.argv)
        reader = PelvimetsOperator(
            self,
            name="pelvimets",
            study=Path(context.input_path),
            out=Path(context.output_path) / "pelvimets",
        )
        self.add_flow(reader, SaidOperator(self, name="said"), {("result", "result")})


if __name__ == "__main__":
    try:
        PelvimetsApp().run()
    except PelvimetsError as error:
        sys.exit(f"Error: {error}")
