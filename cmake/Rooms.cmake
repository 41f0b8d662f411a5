# SPDX-License-Identifier: Apache-2.0
# One static library per folder ("room"), explicit links, one unit-test binary per room.

# gpuvm_room(NAME SOURCES a.cpp … [LINKS room …] [PRIVATE lib …])
#   LINKS are the rooms (or libraries) that the public headers of this room use; PRIVATE ones stay in its .cpp files.
function(gpuvm_room NAME)
  cmake_parse_arguments(ROOM "" "" "SOURCES;LINKS;PRIVATE" ${ARGN})
  add_library(gpuvm_${NAME} STATIC ${ROOM_SOURCES})
  target_include_directories(gpuvm_${NAME} PUBLIC ${PROJECT_SOURCE_DIR})
  target_link_libraries(gpuvm_${NAME} PUBLIC ${ROOM_LINKS} PRIVATE gpuvm_warnings ${ROOM_PRIVATE})
endfunction()

# What the sanitizer builds build and run: unit tests and fuzz corpora.
add_custom_target(sanitized_tests)

# gpuvm_unit_test(NAME SOURCES a_test.cpp … LINKS gpuvm_room …): a GoogleTest binary unit_NAME, CTest label "unit".
function(gpuvm_unit_test NAME)
  cmake_parse_arguments(TEST "" "" "SOURCES;LINKS" ${ARGN})
  add_executable(unit_${NAME} ${TEST_SOURCES})
  target_include_directories(unit_${NAME} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(unit_${NAME} PRIVATE ${TEST_LINKS} gpuvm_fixtures GTest::gtest_main)
  add_test(NAME unit_${NAME} COMMAND unit_${NAME} --gtest_brief=1)
  # For what hangs; a busy machine with a sanitizer may be slow.
  set_tests_properties(unit_${NAME} PROPERTIES LABELS unit TIMEOUT 300)
  add_dependencies(sanitized_tests unit_${NAME})
endfunction()
