#   semdns_mlir_library(NAME sources...)  as semdns_library, with MLIR's headers, the two shared
#                                         libraries and the precompiled header that all share
#
# Only the dylibs are linked: a static MLIR*.a beside them would bring a second copy of their state.
if(NOT TARGET semdns_mlir_pch)
  file(GENERATE OUTPUT ${CMAKE_BINARY_DIR}/semdns_mlir_pch.cpp CONTENT "// holds the precompiled header\n")
  semdns_library(mlir_pch ${CMAKE_BINARY_DIR}/semdns_mlir_pch.cpp)
  target_include_directories(semdns_mlir_pch SYSTEM PUBLIC ${LLVM_INCLUDE_DIRS} ${MLIR_INCLUDE_DIRS})
  target_link_libraries(semdns_mlir_pch PUBLIC MLIR LLVM)
  target_precompile_headers(semdns_mlir_pch PRIVATE ${CMAKE_SOURCE_DIR}/dialects/pch.h)
endif()

function(semdns_mlir_library NAME)
  semdns_library(${NAME} ${ARGN})
  target_include_directories(semdns_${NAME} SYSTEM PUBLIC ${LLVM_INCLUDE_DIRS} ${MLIR_INCLUDE_DIRS})
  target_link_libraries(semdns_${NAME} PUBLIC MLIR LLVM)
  target_precompile_headers(semdns_${NAME} REUSE_FROM semdns_mlir_pch)
endfunction()
