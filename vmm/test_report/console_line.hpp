// SPDX-License-Identifier: Apache-2.0
// What stands in front of a line of a console and is not the program's own: the kernel's log level
// and time (printk: "<6>[    1.234567] [T123] ").
#pragma once

#include <string_view>

namespace gpuvm {

/// The line without what printk has put in front, and without blanks and CR at its end. Blanks that
/// follow printk's are the program's.
std::string_view without_log_prefix(std::string_view line);

/// Whether printk's time stands in front: a line of the kernel's log, or one that looks like it.
bool is_kernel_log(std::string_view line);

}  // namespace gpuvm
