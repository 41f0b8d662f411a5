// SPDX-License-Identifier: Apache-2.0
// gpuvm convert: a domain of libvirt or a command line of QEMU as a configuration. The files that
// it names and the host are not looked at.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <span>

#include "vmm/base/file.hpp"
#include "vmm/base/unique_fd.hpp"
#include "vmm/cli/verbs/verbs.hpp"
#include "vmm/convert/convert.hpp"

namespace gpuvm::cli {
namespace {

/// All that there is to read, and a byte more than is converted at most: what is larger is refused
/// as such.
Result<std::string> read_all(int fd, const std::string& label) {
  std::string text;
  std::array<char, 65536> part{};
  while (text.size() <= kMostForeignText) {
    const ssize_t size = ::read(fd, part.data(), part.size());
    if (size < 0 && errno != EINTR) {
      return fail_errno(ErrorKind::kConfig, "Cannot read " + label);
    }
    if (size == 0) {
      break;
    }
    text.append(part.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
  }
  return text;
}

/// A file may be a pipe, too: `gpuvm convert <(virsh dumpxml render)`.
Result<std::string> read_input(const std::string& path, const std::string& label) {
  if (path == "-") {
    return read_all(STDIN_FILENO, label);
  }
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!fd) {
    return fail_errno(ErrorKind::kConfig, "Cannot open " + path);
  }
  return read_all(fd.get(), label);
}

/// Never over something else.
Status write_new_file(const std::string& path, std::string_view text) {
  constexpr mode_t kMode = 0644;
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, kMode));
  if (!fd) {
    return new_file_error(ErrorKind::kConfig, path);
  }
  while (!text.empty()) {
    const ssize_t done = ::write(fd.get(), text.data(), text.size());
    if (done < 0 && errno != EINTR) {
      auto error = fail_errno(ErrorKind::kConfig, "Cannot write " + path);
      ::unlink(path.c_str());
      return error;
    }
    text.remove_prefix(done > 0 ? static_cast<std::size_t>(done) : 0);
  }
  return {};
}

}  // namespace

Result<int> convert_verb(const ConvertArguments& arguments) {
  if (arguments.output == "-") {
    return fail(ErrorKind::kUsage,
                "-o takes a new file: - is no name of one (without -o the configuration goes to "
                "standard output)");
  }
  const std::string label = arguments.file == "-" ? "standard input" : arguments.file;
  const auto text = TRY(read_input(arguments.file, label));
  const auto kind = arguments.from == "libvirt" ? ForeignText::kLibvirt
                    : arguments.from == "qemu"  ? ForeignText::kQemu
                                                : ForeignText::kAuto;
  const auto guest = TRY(convert_guest(text, {label, kind}));
  TRY(arguments.output.empty() ? print(guest.toml) : write_new_file(arguments.output, guest.toml));
  for (const auto& hindrance : guest.hindrances) {
    std::fputs(fmt::format("Warning: {}\n", hindrance).c_str(), stderr);
  }
  const std::string notes =
      fmt::format("{} {} without a counterpart: each has a comment in the configuration{}\n",
                  guest.notes, guest.notes == 1 ? "thing is" : "things are",
                  guest.is_valid ? "" : "; it is not valid yet, its first line says why");
  std::fputs(notes.c_str(), stderr);
  return 0;
}

}  // namespace gpuvm::cli
