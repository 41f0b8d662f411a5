// SPDX-License-Identifier: Apache-2.0
// What is left of this process's environment (environ(7)) when a guest is about to run: a CI job's
// has tokens in it, and whoever takes a thread over reads all of the process's memory.
#pragma once

namespace gpuvm {

/// Takes away all variables but those that gpuvm, its libraries and who looks after its process
/// read, and overwrites them where they stand, so that /proc/PID/environ has them no more, either.
/// Copies that were made of them stay. While there is one thread.
void forget_environment();

/// The same for `environment`, which ends with a null pointer.
void forget_environment(char** environment);

}  // namespace gpuvm
