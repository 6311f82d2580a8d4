# `cmake --install`: headers, libsemdns, find_package(semdns), pkg-config. Written with the runtime.
