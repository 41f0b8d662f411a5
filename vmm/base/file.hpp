// SPDX-License-Identifier: Apache-2.0
// Reading and writing of whole small files, with errors that name the path.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm {

/// How a file is opened for reading; an empty one does it by the path. For a process that reaches
/// no path any more another one opens it.
using FileOpener = std::function<Result<UniqueFd>(const std::string& path)>;

/// The whole of a regular file; refuses directories, FIFOs, devices and files over max_bytes.
/// Errors carry `kind` and name the path.
Result<std::vector<std::byte>> read_file(const std::string& path, std::uint64_t max_bytes,
                                         ErrorKind kind, const FileOpener& open = {});

/// As read_file(), of one that is open; `path` is its name in messages.
Result<std::vector<std::byte>> read_open_file(int fd, const std::string& path,
                                              std::uint64_t max_bytes, ErrorKind kind);

/// The text of a sysfs or procfs attribute, trailing white space removed; its first 4 MiB.
Result<std::string> read_attribute(const std::string& path);

/// Writes text to an existing attribute in one write(2); the error holds errno's text.
Status write_attribute(const std::string& path, std::string_view text);

/// Why open(2) with O_EXCL has not made the file, by errno; where something of that name is there
/// with the cure.
Error new_file_error(ErrorKind kind, const std::string& path);

}  // namespace gpuvm
