# SPDX-License-Identifier: Apache-2.0
# One static library per folder ("room"), explicit links, one unit-test binary per room.

# Most of what a compiler does here is to read headers: the standard library, fmt, GoogleTest. So they are precompiled, and with
# GPUVM_UNITY the files of a room are compiled a few at a time as one: names in anonymous namespaces differ within a room, and each
# test file has a namespace of its own. The preset "tidy" does neither, and so notices an #include that is missing.
set(GPUVM_COMMON_HEADERS
  <algorithm> <array> <atomic> <chrono> <condition_variable> <cstdint> <cstring> <functional> <map> <memory> <mutex> <optional>
  <set> <span> <string> <string_view> <thread> <utility> <variant> <vector> <fmt/format.h>)

# gpuvm_compile_fast(TARGET HEADER_TARGET): headers from HEADER_TARGET, and several files at a time where that is wanted.
function(gpuvm_compile_fast NAME HEADER_TARGET)
  if(GPUVM_PRECOMPILED_HEADERS)
    target_precompile_headers(${NAME} REUSE_FROM ${HEADER_TARGET})
  endif()
  if(GPUVM_UNITY)
    set_target_properties(${NAME} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE ${GPUVM_UNITY_BATCH})
  endif()
endfunction()
set(GPUVM_UNITY_BATCH 16)

# Targets that exist for their precompiled headers; others reuse them.
if(GPUVM_PRECOMPILED_HEADERS)
  add_library(gpuvm_room_headers STATIC ${PROJECT_SOURCE_DIR}/cmake/headers.cpp)
  target_link_libraries(gpuvm_room_headers PRIVATE fmt::fmt gpuvm_warnings)
  target_precompile_headers(gpuvm_room_headers PRIVATE ${GPUVM_COMMON_HEADERS})
endif()

# Rooms whose code runs once for a start, a command or somebody's request, and then waits for the kernel, a device or people. The compiler's
# second level of optimization takes a quarter of their time in a build and gains them nothing: the preset "release" gives them -O1, with
# which GCC guesses wrongly what may be uninitialized. What a guest waits for while it runs (devices, buses, KVM, networks, disks) is not
# among them.
set(GPUVM_CALM_OPTIONS "" CACHE STRING "Compile options of rooms that no running guest waits for, such as -O1")
set(GPUVM_CALM_ROOMS
  api_client cards check config containment convert first_boot fleet guests helper host host_map job login machine_boot machine_devices
  machine_hot_plug machine_owner machine_preview machine_report machine_report_file owner pool reset runner schema service test_report
  verdict acpi fdt ovmf rom smbios)

# gpuvm_room(NAME SOURCES a.cpp … [LINKS room …] [PRIVATE lib …])
#   LINKS are the rooms (or libraries) that the public headers of this room use; PRIVATE ones stay in its .cpp files.
function(gpuvm_room NAME)
  cmake_parse_arguments(ROOM "" "" "SOURCES;LINKS;PRIVATE" ${ARGN})
  add_library(gpuvm_${NAME} STATIC ${ROOM_SOURCES})
  target_include_directories(gpuvm_${NAME} PUBLIC ${PROJECT_SOURCE_DIR})
  target_link_libraries(gpuvm_${NAME} PUBLIC ${ROOM_LINKS} PRIVATE gpuvm_warnings ${ROOM_PRIVATE})
  if(NAME IN_LIST GPUVM_CALM_ROOMS)
    target_compile_options(gpuvm_${NAME} PRIVATE ${GPUVM_CALM_OPTIONS})
  endif()
  gpuvm_compile_fast(gpuvm_${NAME} gpuvm_room_headers)
endfunction()

# What the sanitizer builds build and run: unit tests and fuzz corpora.
add_custom_target(sanitized_tests)

# Tests are compiled once and run once: optimizing them takes longer than it saves. They say of an aggregate what they are about.
set(GPUVM_TEST_OPTIONS -O0 -U_FORTIFY_SOURCE -Wno-missing-field-initializers)
if(GPUVM_DEVELOPER_MODE AND GPUVM_PRECOMPILED_HEADERS)
  add_executable(test_headers ${PROJECT_SOURCE_DIR}/cmake/headers.cpp)
  target_compile_options(test_headers PRIVATE ${GPUVM_TEST_OPTIONS})
  target_link_libraries(test_headers PRIVATE fmt::fmt gpuvm_warnings GTest::gtest_main)
  target_precompile_headers(test_headers PRIVATE ${GPUVM_COMMON_HEADERS} <gmock/gmock.h> <gtest/gtest.h>)
endif()

# gpuvm_gtest_program(NAME SOURCES a_test.cpp … LINKS gpuvm_room …): a GoogleTest binary.
function(gpuvm_gtest_program NAME)
  cmake_parse_arguments(TEST "" "" "SOURCES;LINKS" ${ARGN})
  add_executable(${NAME} ${TEST_SOURCES})
  target_include_directories(${NAME} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(${NAME} PRIVATE ${TEST_LINKS} gpuvm_warnings GTest::gtest)
  target_compile_options(${NAME} PRIVATE ${GPUVM_TEST_OPTIONS})
  gpuvm_compile_fast(${NAME} test_headers)
endfunction()

# gpuvm_unit_test(NAME SOURCES a_test.cpp … LINKS gpuvm_room …): a GoogleTest binary unit_NAME, CTest label "unit".
function(gpuvm_unit_test NAME)
  cmake_parse_arguments(TEST "" "" "SOURCES;LINKS" ${ARGN})
  gpuvm_gtest_program(unit_${NAME} SOURCES ${TEST_SOURCES} LINKS ${TEST_LINKS} gpuvm_fixtures GTest::gtest_main)
  if(NOT GPUVM_UNIT_TESTS)
    set_target_properties(unit_${NAME} PROPERTIES EXCLUDE_FROM_ALL ON)
    return()
  endif()
  # The thread sanitizer leaves programs 1.5 TiB, a part of which a random address of libraries takes away. A guest's memory of
  # more than 1 TiB then has no place in 4 of 10 runs.
  if(GPUVM_SANITIZE STREQUAL "thread")
    set(launcher setarch --addr-no-randomize)
  endif()
  add_test(NAME unit_${NAME} COMMAND ${launcher} $<TARGET_FILE:unit_${NAME}> --gtest_brief=1)
  # For what hangs; a busy machine with a sanitizer may be slow.
  set_tests_properties(unit_${NAME} PROPERTIES LABELS unit TIMEOUT 300)
  add_dependencies(sanitized_tests unit_${NAME})
endfunction()

# gpuvm_test_program(NAME SOURCES a.cpp … LINKS gpuvm_room …): a program that a test runs, without GoogleTest.
function(gpuvm_test_program NAME)
  cmake_parse_arguments(PROGRAM "" "" "SOURCES;LINKS" ${ARGN})
  add_executable(${NAME} ${PROGRAM_SOURCES})
  target_include_directories(${NAME} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(${NAME} PRIVATE ${PROGRAM_LINKS} gpuvm_warnings)
  gpuvm_compile_fast(${NAME} gpuvm_room_headers)
endfunction()
