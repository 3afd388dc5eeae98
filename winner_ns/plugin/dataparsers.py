"""The data parsers that nerfstudio knows through this package; apart from the methods, which import nerfstudio's
list of data parsers."""

from nerfstudio.plugins.registry_dataparser import DataParserSpecification

from winner_ns.glue.nerfstudio_defects import end_quietly_while_it_starts, import_without_warnings
from winner_ns.rays.dataparser import SceneDataParserConfig

end_quietly_while_it_starts()
import_without_warnings()

scene_data = DataParserSpecification(
    config=SceneDataParserConfig(),
    description="Posed photographs in the format of blender, nerfstudio or COLMAP, told from the folder's files.",
)
