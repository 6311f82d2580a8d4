# Found through lit.site.cfg.py in the build folder, which sets the paths.
import os

import lit.formats

config.name = "semdns"
config.test_format = lit.formats.ShTest(True)
config.suffixes = [".mlir", ".test"]
config.excludes = ["CMakeLists.txt", "Inputs"]
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = config.semdns_obj_root
config.environment["PATH"] = os.path.pathsep.join(
    [config.semdns_tools_dir, config.llvm_tools_dir, config.environment.get("PATH", "")])
config.substitutions.append(("%sources", config.semdns_source_dir))
config.substitutions.append(("%gpu_micro_kernels", config.gpu_micro_kernels))
for tool in os.listdir(config.semdns_tools_dir):
    config.available_features.add(tool)
