# `cmake --install`: component `runtime` (headers, libsemdns, find_package(semdns), pkg-config) and
# component `tools` (the executables, see semdns_tool).
if(NOT TARGET semdns_shared)
  return()
endif()
include(CMakePackageConfigHelpers)

install(DIRECTORY ${CMAKE_SOURCE_DIR}/include/semdns DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  COMPONENT runtime FILES_MATCHING PATTERN "*.h" PATTERN "*.hpp")
install(TARGETS semdns_shared semdns_runtime EXPORT semdnsTargets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT runtime
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT runtime)
set(semdns_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/semdns)
install(EXPORT semdnsTargets NAMESPACE semdns:: DESTINATION ${semdns_package_dir} COMPONENT runtime)
configure_package_config_file(${CMAKE_SOURCE_DIR}/cmake/semdnsConfig.cmake.in
  ${CMAKE_BINARY_DIR}/semdnsConfig.cmake INSTALL_DESTINATION ${semdns_package_dir})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/semdnsConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/semdnsConfig.cmake ${CMAKE_BINARY_DIR}/semdnsConfigVersion.cmake
  DESTINATION ${semdns_package_dir} COMPONENT runtime)

file(RELATIVE_PATH semdns_pc_prefix /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
configure_file(${CMAKE_SOURCE_DIR}/cmake/semdns.pc.in ${CMAKE_BINARY_DIR}/semdns.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/semdns.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig
  COMPONENT runtime)
