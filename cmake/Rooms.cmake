# SPDX-License-Identifier: Apache-2.0
# One static library per folder ("room"), explicit links, one unit-test binary per room.

# A good part of what a compiler does here is to read the standard library and GoogleTest. Tests have them precompiled, and so
# have the rooms with GPUVM_PRECOMPILED_HEADERS, in the sanitizers' builds: the others notice an #include that is missing.
set(GPUVM_COMMON_HEADERS
  <algorithm> <array> <chrono> <cstdint> <functional> <map> <memory> <mutex> <optional> <span> <string> <string_view> <vector>
  <fmt/format.h>)
if(GPUVM_PRECOMPILED_HEADERS)
  add_library(gpuvm_room_headers STATIC ${PROJECT_SOURCE_DIR}/cmake/headers.cpp)
  target_link_libraries(gpuvm_room_headers PRIVATE fmt::fmt gpuvm_warnings)
  target_precompile_headers(gpuvm_room_headers PRIVATE ${GPUVM_COMMON_HEADERS})
endif()

# gpuvm_room(NAME SOURCES a.cpp … [LINKS room …] [PRIVATE lib …])
#   LINKS are the rooms (or libraries) that the public headers of this room use; PRIVATE ones stay in its .cpp files.
function(gpuvm_room NAME)
  cmake_parse_arguments(ROOM "" "" "SOURCES;LINKS;PRIVATE" ${ARGN})
  add_library(gpuvm_${NAME} STATIC ${ROOM_SOURCES})
  target_include_directories(gpuvm_${NAME} PUBLIC ${PROJECT_SOURCE_DIR})
  target_link_libraries(gpuvm_${NAME} PUBLIC ${ROOM_LINKS} PRIVATE gpuvm_warnings ${ROOM_PRIVATE})
  if(GPUVM_PRECOMPILED_HEADERS)
    target_precompile_headers(gpuvm_${NAME} REUSE_FROM gpuvm_room_headers)
  endif()
endfunction()

# What the sanitizer builds build and run: unit tests and fuzz corpora.
add_custom_target(sanitized_tests)

# Tests are compiled once and run once: optimizing them takes longer than it saves. They say of an aggregate what they are about.
set(GPUVM_TEST_OPTIONS -O0 -U_FORTIFY_SOURCE -Wno-missing-field-initializers)
if(GPUVM_DEVELOPER_MODE)
  add_executable(test_headers ${PROJECT_SOURCE_DIR}/cmake/headers.cpp)
  target_compile_options(test_headers PRIVATE ${GPUVM_TEST_OPTIONS})
  target_link_libraries(test_headers PRIVATE fmt::fmt gpuvm_warnings GTest::gtest_main)
  target_precompile_headers(test_headers PRIVATE ${GPUVM_COMMON_HEADERS} <gmock/gmock.h> <gtest/gtest.h>)
endif()

# gpuvm_unit_test(NAME SOURCES a_test.cpp … LINKS gpuvm_room …): a GoogleTest binary unit_NAME, CTest label "unit".
function(gpuvm_unit_test NAME)
  cmake_parse_arguments(TEST "" "" "SOURCES;LINKS" ${ARGN})
  add_executable(unit_${NAME} ${TEST_SOURCES})
  target_include_directories(unit_${NAME} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(unit_${NAME} PRIVATE ${TEST_LINKS} gpuvm_fixtures gpuvm_warnings GTest::gtest_main)
  target_compile_options(unit_${NAME} PRIVATE ${GPUVM_TEST_OPTIONS})
  target_precompile_headers(unit_${NAME} REUSE_FROM test_headers)
  add_test(NAME unit_${NAME} COMMAND unit_${NAME} --gtest_brief=1)
  # For what hangs; a busy machine with a sanitizer may be slow.
  set_tests_properties(unit_${NAME} PROPERTIES LABELS unit TIMEOUT 300)
  add_dependencies(sanitized_tests unit_${NAME})
endfunction()
