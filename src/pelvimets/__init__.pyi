from pelvimets.app.evaluate import evaluate as evaluate
from pelvimets.app.phantom import make_cohort as make_cohort
from pelvimets.app.phantom import make_phantom as make_phantom
from pelvimets.app.reading import Result as Result
from pelvimets.app.reading import predict as predict
from pelvimets.app.reading import read_study as read_study
from pelvimets.core.findings import Findings as Findings
from pelvimets.core.findings import Lesion as Lesion
from pelvimets.core.geometry import Geometry as Geometry
from pelvimets.core.study import Study as Study
from pelvimets.core.volume import Volume as Volume
from pelvimets.errors import PelvimetsError as PelvimetsError
from pelvimets.evaluation.settings import EvaluationSettings as EvaluationSettings
from pelvimets.labels import Bone as Bone
from pelvimets.labels import Sequence as Sequence
from pelvimets.model_development.train import train as train
from pelvimets.requests.evaluate import EvaluationRequest as EvaluationRequest
from pelvimets.requests.phantom import CohortOrder as CohortOrder
from pelvimets.requests.phantom import Examined as Examined
from pelvimets.requests.phantom import PhantomOrder as PhantomOrder
from pelvimets.requests.train import DigitalPatients as DigitalPatients
from pelvimets.requests.train import TrainRequest as TrainRequest

__version__: str
