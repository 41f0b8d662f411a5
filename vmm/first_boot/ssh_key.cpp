// SPDX-License-Identifier: Apache-2.0
#include "vmm/first_boot/ssh_key.hpp"

#include <fcntl.h>
#include <pwd.h>
#include <spawn.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "vmm/base/file.hpp"
#include "vmm/base/log.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm {
namespace {

constexpr std::uint64_t kLongestKey = 16384;  ///< as sshd's own limit of a line has it
constexpr std::string_view kOwnComment = "gpuvm";

/// Types of OpenSSH 9 that sshd takes in authorized_keys.
constexpr std::array<std::string_view, 7> kKeyTypes = {"ssh-ed25519",
                                                       "ssh-rsa",
                                                       "ecdsa-sha2-nistp256",
                                                       "ecdsa-sha2-nistp384",
                                                       "ecdsa-sha2-nistp521",
                                                       "sk-ssh-ed25519@openssh.com",
                                                       "sk-ecdsa-sha2-nistp256@openssh.com"};

bool is_key_line(std::string_view line) {
  const auto blank = line.find(' ');
  if (blank == std::string_view::npos ||
      std::find(kKeyTypes.begin(), kKeyTypes.end(), line.substr(0, blank)) == kKeyTypes.end()) {
    return false;
  }
  const auto key = line.substr(blank + 1, line.find(' ', blank + 1) - blank - 1);
  const auto is_digit_of_key = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' ||
           c == '/' || c == '=';
  };
  const auto is_shown = [](char c) { return static_cast<unsigned char>(c) >= ' ' && c != '\x7f'; };
  return !key.empty() && std::all_of(key.begin(), key.end(), is_digit_of_key) &&
         std::all_of(line.begin(), line.end(), is_shown);
}

/// Its folder is there: false where another kind of file has its name, or it cannot be made.
Status make_key_folder(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(folder).parent_path(), error);
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) {
    return fail_errno(ErrorKind::kHost, "cannot make the folder " + folder);
  }
  return {};
}

/// Held while a key is made; goes with the descriptor.
Result<UniqueFd> lock_keys(const std::string& folder) {
  const std::string path = folder + "/lock";
  UniqueFd lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock) {
    return fail_errno(ErrorKind::kHost, "cannot open " + path);
  }
  while (::flock(lock.get(), LOCK_EX) != 0) {
    if (errno != EINTR) {
      return fail_errno(ErrorKind::kHost, "cannot lock " + path);
    }
  }
  return lock;
}

/// Not by PATH: what runs here may run as root.
std::string find_keygen() {
  for (const char* const path : {"/usr/bin/ssh-keygen", "/usr/local/bin/ssh-keygen"}) {
    if (::access(path, X_OK) == 0) {
      return path;
    }
  }
  return {};
}

/// Its exit status, or 128 + signal. It gets none of our files. Errors: kHost.
Result<int> run_keygen(const std::string& program, std::vector<std::string> arguments) {
  std::vector<char*> raw;
  for (auto& argument : arguments) {
    raw.push_back(argument.data());
  }
  raw.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawnattr_init(&attributes);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDWR, 0);
  ::posix_spawn_file_actions_adddup2(&actions, STDIN_FILENO, STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, STDIN_FILENO, STDERR_FILENO);
  ::posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
  sigset_t none;
  ::sigemptyset(&none);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  pid_t child = 0;
  const int error =
      ::posix_spawn(&child, program.c_str(), &actions, &attributes, raw.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::posix_spawnattr_destroy(&attributes);
  if (error != 0) {
    return fail_errno(ErrorKind::kHost, "cannot run " + program, error);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) {
      return fail_errno(ErrorKind::kHost, "cannot wait for " + program);
    }
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/// Under another name first: a key that is there is whole.
Status make_key(const std::string& path) {
  const std::string program = find_keygen();
  if (program.empty()) {
    return fail(ErrorKind::kHost,
                "ssh_key = \"auto\" needs ssh-keygen, which is not installed: apt install "
                "openssh-client (dnf install openssh), or name a public key");
  }
  const std::string made = path + ".new";
  ::unlink(made.c_str());
  const int status = TRY(run_keygen(program, {"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C",
                                              std::string(kOwnComment), "-f", made}));
  if (status != 0) {
    return fail(ErrorKind::kHost, "ssh-keygen cannot make {} (exit status {})", path, status);
  }
  const std::string made_public = made + ".pub";
  const std::string its_public = path + ".pub";
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-vararg): of fail_errno()
  if (::rename(made_public.c_str(), its_public.c_str()) != 0 ||
      ::rename(made.c_str(), path.c_str()) != 0) {
    return fail_errno(ErrorKind::kHost, "cannot rename " + made);
  }
  log::info("{} is the key by which gpuvm ssh gets into this user's guests", path);
  return {};
}

}  // namespace

Result<SshKey> read_public_key(const std::string& path) {
  const auto bytes = TRY(read_file(path, kLongestKey, ErrorKind::kConfig));
  std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.find("PRIVATE KEY-----") != std::string_view::npos) {
    return fail(ErrorKind::kConfig,
                "{} is a private key, which no guest may have: name the public one, {}.pub", path,
                path);
  }
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) {
    text.remove_suffix(1);
  }
  if (!is_key_line(text)) {
    return fail(ErrorKind::kConfig,
                "{} is no public key: name a file with one line such as \"ssh-ed25519 "
                "AAAA… me\", as ssh-keygen makes it",
                path);
  }
  SshKey key{.line = std::string(text)};
  const std::string_view suffix = ".pub";
  const std::string twin =
      path.ends_with(suffix) ? path.substr(0, path.size() - suffix.size()) : "";
  key.private_path = !twin.empty() && ::access(twin.c_str(), R_OK) == 0 ? twin : "";
  return key;
}

Result<SshKey> own_ssh_key(const std::string& folder, SshKeyUse use) {
  const std::string path = folder + "/id_ed25519";
  struct stat info {};
  const bool is_absent = ::stat(path.c_str(), &info) != 0;
  if (is_absent && use == SshKeyUse::kLook) {
    return SshKey{.line = std::string(kKeyTypes.front()) + " " + std::string(68, 'A') + " gpuvm"};
  }
  if (is_absent) {
    TRY(make_key_folder(folder));
    const UniqueFd lock = TRY(lock_keys(folder));
    if (::stat(path.c_str(), &info) != 0) {  // still
      TRY(make_key(path));
    }
  } else if ((info.st_mode & 077) != 0) {
    return fail(ErrorKind::kConfig,
                "others may read {}, so that ssh will not take it: chmod 600 {}", path, path);
  }
  auto key = TRY(read_public_key(path + ".pub"));
  key.private_path = path;
  return key;
}

Result<std::string> ssh_key_folder() {
  const auto variable = [](const char* name) {
    const char* const value = ::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody sets it
    return std::string(value != nullptr && value[0] == '/' ? value : "");
  };
  if (const auto state = variable("XDG_STATE_HOME"); !state.empty()) {
    return state + "/gpuvm";
  }
  auto home = variable("HOME");
  if (home.empty()) {
    std::array<char, 4096> buffer{};
    passwd entry{};
    passwd* found = nullptr;
    if (::getpwuid_r(::geteuid(), &entry, buffer.data(), buffer.size(), &found) == 0 &&
        found != nullptr && found->pw_dir != nullptr) {
      home = found->pw_dir;
    }
  }
  if (home.empty() || home.front() != '/') {
    return fail(ErrorKind::kHost,
                "\"auto\" needs a folder to keep the key in: set HOME or "
                "XDG_STATE_HOME");
  }
  return home + "/.local/state/gpuvm";
}

}  // namespace gpuvm
