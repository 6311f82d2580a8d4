# Compile flags and one-line helpers that every folder uses. No folder sets flags of its own.
#
#   semdns_library(NAME sources... )   static library `semdns_NAME`, alias semdns::NAME
#   semdns_tool(NAME sources...)       executable in bin/, installed with the tools
#   semdns_gtest(NAME sources...)      gtest executable registered in ctest as unit.NAME

add_library(semdns_flags INTERFACE)
target_include_directories(semdns_flags INTERFACE
  $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include> $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}>
  $<BUILD_INTERFACE:${CMAKE_BINARY_DIR}>)
# -ffp-contract=off: training must give the same bytes on every host (docs/architecture.md).
target_compile_options(semdns_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wno-unused-parameter -ffp-contract=off -fno-strict-aliasing
  $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor>
  # What clang takes silently: __int128, its own pragmas and attributes, gtest's if-less-else, vectors
  # that are only ever inlined; and GCC 12's false alarm about std::string's operator+ (its PR 105651).
  $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-pedantic -Wno-unknown-pragmas -Wno-attributes
  -Wno-dangling-else -Wno-psabi -Wno-restrict>)
if(SEMDNS_SANITIZE)
  target_compile_options(semdns_flags INTERFACE
    -fsanitize=${SEMDNS_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -g)
  target_link_options(semdns_flags INTERFACE -fsanitize=${SEMDNS_SANITIZE})
endif()
if(SEMDNS_BUILD_FUZZERS)
  target_compile_options(semdns_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# What the runtime is held to: no exceptions, no RTTI, no thread-safe statics (they need libstdc++).
add_library(semdns_runtime_flags INTERFACE)
target_link_libraries(semdns_runtime_flags INTERFACE semdns_flags)
target_compile_options(semdns_runtime_flags INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-fno-exceptions -fno-rtti -fno-threadsafe-statics>
  -fvisibility=hidden -ffunction-sections -fdata-sections)

function(semdns_library NAME)
  add_library(semdns_${NAME} STATIC ${ARGN})
  add_library(semdns::${NAME} ALIAS semdns_${NAME})
  target_link_libraries(semdns_${NAME} PUBLIC semdns_flags)
endfunction()

function(semdns_tool NAME)
  add_executable(${NAME} ${ARGN})
  target_link_libraries(${NAME} PRIVATE semdns_flags)
  # Where cmake/bundle.py puts libraries. As RPATH, not RUNPATH: it holds for what those need, too.
  set_target_properties(${NAME} PROPERTIES INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}/semdns/lib")
  target_link_options(${NAME} PRIVATE -Wl,--disable-new-dtags)
  install(TARGETS ${NAME} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT tools)
endfunction()

# Skipped as a whole: no test passed, and gtest's last words are about skipped ones. It names failed
# ones after them, so that this never hides a failure (CTest lets a skip win over an exit status).
# `./dev test` lists what single tests were skipped.
set(semdns_gtest_skipped
  "\\[  PASSED  \\] 0 tests\\.\n\\[  SKIPPED \\][^\n]+\n(\\[  SKIPPED \\][^\n]+\n)+\n*$")

function(semdns_gtest NAME)
  add_executable(test_${NAME} ${ARGN})
  target_link_libraries(test_${NAME} PRIVATE semdns_flags GTest::gtest GTest::gmock GTest::gtest_main)
  set_target_properties(test_${NAME} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/test)
  add_test(NAME unit.${NAME} COMMAND test_${NAME})
  set_tests_properties(unit.${NAME} PROPERTIES
    ENVIRONMENT "SEMDNS_SOURCE_DIR=${CMAKE_SOURCE_DIR};SEMDNS_BINARY_DIR=${CMAKE_BINARY_DIR};SEMDNS_DATA=${SEMDNS_DATA}"
    SKIP_REGULAR_EXPRESSION "${semdns_gtest_skipped}")
endfunction()
