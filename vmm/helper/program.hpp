// SPDX-License-Identifier: Apache-2.0
// Program: another program that gpuvm runs for a guest: how it is found, and started with nothing
// of ours but the descriptors that it is given. Here those that do one thing and end;
// child_process.hpp has those that stay; confinement.hpp has what they are confined to.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"
#include "vmm/helper/confinement.hpp"

namespace gpuvm {

/// The program's path; empty: there is none. A name without "/" is looked for in the usual folders,
/// and in PATH before them, but not as root: the caller's PATH must not decide what runs as root. A
/// folder of PATH that is relative does not count.
std::string find_program(const std::string& name);

/// How large files can become by a program's writes, which fail then (EFBIG; setrlimit(2),
/// RLIMIT_FSIZE). It is no limit of what they have already.
struct FileLimit {
  std::uint64_t now = 0;   ///< bytes; may be changed by limit_files()
  std::uint64_t most = 0;  ///< no limit is above this
};

struct Program {
  std::string path;
  std::vector<std::string> arguments;  ///< from [0] on, which is what it is called in messages
  /// Become its descriptors 3, 4 and so on. Besides it has /dev/null as 0 and 1.
  std::vector<int> files = {};
  /// What it is confined to; nothing: it is a program of the user's, which has what gpuvm has, but
  /// of root's capabilities those for files alone, and an environment like gpuvm's.
  std::optional<HelperConfinement> confinement = {};
  /// Without confinement: root's capabilities stay, for programs that give them up by themselves.
  bool keeps_privileges = false;
  /// It sees this folder, and what is mounted below, without being able to write there: a mount
  /// namespace of its own, for which gpuvm must be root. Empty: none.
  std::string read_only_folder = {};
  std::optional<FileLimit> file_limit = {};
  /// Killed with SIGKILL when gpuvm's thread that starts it ends, however that comes.
  bool dies_with_thread = false;

  const std::string& name() const { return arguments.front(); }
};

inline constexpr int kFirstFileOfProgram = 3;

/// "exit status 1" or "signal 9", of a status as waitpid(2) has it.
std::string text_of_end(int status);

/// What a program printed, as one line that is safe to show: lines are separated by "; ".
std::string text_of_output(const std::string& printed);

/// A pipe whose first end we read, without waiting, and whose second is the program's.
struct OutputPipe {
  UniqueFd ours;
  UniqueFd theirs;
};
/// Errors: kHost.
Result<OutputPipe> make_output_pipe();

struct StartedProgram {
  pid_t pid = 0;
  sandbox::Layers layers = {};  ///< of its confinement
};
/// Starts it, with `error_output` as its descriptor 2. Who calls this waits for its end. Errors:
/// kHost.
Result<StartedProgram> start_program(const Program& program, int error_output);

/// Another limit for a program that runs, and that was started with one. Errors: kHost.
Status limit_files(pid_t program, const FileLimit& limit);

/// How it ended, and what it printed to its standard error: the first 4 KiB.
struct ProgramEnd {
  int status = 0;  ///< as waitpid(2) has it
  std::string text;
  sandbox::Layers layers = {};  ///< of its confinement
  bool is_good() const { return status == 0; }
};

/// Starts it and waits until it has ended; one that takes longer is killed. Errors: kHost, also
/// where its status cannot be known because SIGCHLD is ignored.
Result<ProgramEnd> run_program(const Program& program, std::chrono::milliseconds limit);

}  // namespace gpuvm
