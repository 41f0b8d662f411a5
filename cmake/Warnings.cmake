# SPDX-License-Identifier: Apache-2.0
# gpuvm_warnings: compile options of our own code. Hardening and sanitizers apply to everything that is built here.
add_library(gpuvm_warnings INTERFACE)
target_compile_options(gpuvm_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wold-style-cast -Wcast-qual -Wcast-align
  -Wnon-virtual-dtor -Woverloaded-virtual -Wdouble-promotion -Wformat=2 -Wimplicit-fallthrough -Wextra-semi
  $<$<BOOL:${GPUVM_WERROR}>:-Werror>)
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  target_compile_options(gpuvm_warnings INTERFACE -Wthread-safety -Werror=thread-safety)  # vmm/base/mutex.hpp
endif()

# For libraries, too, of which none is shared: all files have the same options, and share precompiled headers.
add_compile_options(-fPIE)
add_link_options(-pie)
add_compile_options(-fstack-protector-strong)
# Variables that nobody has given a value begin as zero, and not as what an earlier call has left. clang up to 15 wants it said twice.
include(CheckCXXCompilerFlag)
set(GPUVM_ZERO_INIT -ftrivial-auto-var-init=zero)
set(GPUVM_ZERO_INIT_SWITCH -enable-trivial-auto-var-init-zero-knowing-it-will-be-removed-from-clang)
check_cxx_compiler_flag(${GPUVM_ZERO_INIT} GPUVM_HAS_ZERO_INIT)
if(NOT GPUVM_HAS_ZERO_INIT)
  set(CMAKE_REQUIRED_FLAGS ${GPUVM_ZERO_INIT_SWITCH})
  check_cxx_compiler_flag(${GPUVM_ZERO_INIT} GPUVM_HAS_ZERO_INIT_WITH_SWITCH)
  unset(CMAKE_REQUIRED_FLAGS)
  if(NOT GPUVM_HAS_ZERO_INIT_WITH_SWITCH)
    message(FATAL_ERROR "The compiler does not know ${GPUVM_ZERO_INIT}: g++ from 12 and clang from 8 do")
  endif()
  list(APPEND GPUVM_ZERO_INIT ${GPUVM_ZERO_INIT_SWITCH})
endif()
add_compile_options(${GPUVM_ZERO_INIT})
add_compile_definitions(_GLIBCXX_ASSERTIONS)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  add_compile_options(-fcf-protection -fstack-clash-protection)
endif()
if(CMAKE_BUILD_TYPE MATCHES "Rel" AND NOT GPUVM_SANITIZE)
  add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
endif()
add_link_options(-Wl,-z,relro,-z,now,-z,noexecstack)
if(GPUVM_SANITIZE)
  add_compile_options(-fsanitize=${GPUVM_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${GPUVM_SANITIZE})
endif()
if(GPUVM_COVERAGE)
  add_compile_options(-fprofile-instr-generate -fcoverage-mapping)
  add_link_options(-fprofile-instr-generate)
endif()
