"""The world of guest.wit in Python, for componentize-py: a photo's best class in words."""
import wit_world
from componentize_py_types import Err
from wit_world.imports import model


class WitWorld(wit_world.WitWorld):
    def label(self, image: bytes) -> str:
        try:
            [best] = model.classify(image, 1)
        except Err as error:
            return error.value.value
        return f"{best.label}, {100 * best.score:.1f} %"
