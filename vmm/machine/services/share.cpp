// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/services/share.hpp"

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>

#include "vmm/base/log.hpp"
#include "vmm/helper/listening_pair.hpp"

namespace gpuvm {
namespace {

constexpr std::chrono::milliseconds kLastWords{2000};

/// Distributions keep it out of PATH, each in another folder.
std::string find_virtiofsd() {
  constexpr std::array kPlaces = {"/usr/libexec/virtiofsd", "/usr/lib/qemu/virtiofsd",
                                  "/usr/lib/virtiofsd"};
  for (const char* const place : kPlaces) {
    if (auto found = find_program(place); !found.empty()) {
      return found;
    }
  }
  return find_program("virtiofsd");
}

Result<std::string> virtiofsd() {
  auto program = find_virtiofsd();
  if (program.empty()) {
    return fail(ErrorKind::kHost,
                "needs the program virtiofsd, which is not installed: apt install virtiofsd (in "
                "Debian 12 it is in qemu-system-common), dnf install virtiofsd");
  }
  return program;
}

/// In the spelling that QEMU's (in C) and the later one (in Rust) both take.
Program program_of(std::string path, const ShareConfig& config, const HelperRules& rules,
                   int listener) {
  Program program{.path = std::move(path), .arguments = {}};
  program.arguments = {"virtiofsd",
                       fmt::format("--fd={}", kFirstFileOfProgram),
                       "-f",
                       "-o",
                       "cache=auto",
                       "-o",
                       "sandbox=namespace",
                       "-o",
                       "modcaps=-mknod",  // a device node would be the host's device
                       "-o",
                       "source=" + config.path};
  program.files = {listener};
  program.read_only_folder = config.read_only ? config.path : std::string();
  if (!rules.is_confined) {
    program.keeps_privileges = true;  // it gives them up by itself once it is in its sandbox
    return program;
  }
  HelperConfinement confinement{.profile = &virtiofsd_profile()};
  confinement.paths.push_back(
      {.path = config.path,
       .access = config.read_only ? sandbox::PathAccess::kRead : sandbox::PathAccess::kManage});
  program.confinement = std::move(confinement);
  return program;
}

/// Whether users of the host who are neither its owner nor of its group get into it.
bool is_open_to_others(const std::string& folder) {
  std::error_code error;
  auto place = std::filesystem::canonical(folder, error);
  for (;; place = place.parent_path()) {
    struct stat info {};
    if (error || ::stat(place.c_str(), &info) != 0 || (info.st_mode & S_IXOTH) == 0) {
      return false;
    }
    if (place == place.root_path()) {
      return true;
    }
  }
}

}  // namespace

std::string Share::warning_of(const ShareConfig& config) {
  struct statvfs file_system {};
  if (config.read_only || ::statvfs(config.path.c_str(), &file_system) != 0 ||
      (file_system.f_flag & ST_NOSUID) != 0 || !is_open_to_others(config.path)) {
    return {};
  }
  return fmt::format(
      "share {}: root in the guest can leave set-user-ID programs in {}, which every user of this "
      "host can enter: shut it (chmod o-x), or mount it nosuid",
      config.tag, config.path);
}

Status Share::check(const ShareConfig& config) {
  struct stat info {};
  if (::stat(config.path.c_str(), &info) != 0) {
    return fail_errno(ErrorKind::kConfig, "path: cannot find the folder " + config.path);
  }
  if (!S_ISDIR(info.st_mode)) {
    return fail(ErrorKind::kConfig, "path: {} is no folder: only folders can be shared",
                config.path);
  }
  if (config.path.find_first_of(",\\") != std::string::npos) {
    return fail(ErrorKind::kConfig,
                "path: {} has a comma or a backslash, which virtiofsd does not take: share it by a "
                "bind mount with another name",
                config.path);
  }
  TRY(virtiofsd());
  if (::geteuid() != 0) {
    return fail(
        ErrorKind::kHost,
        "virtiofsd makes its sandbox as root only: run gpuvm as root, or without [[share]]");
  }
  return {};
}

Result<std::unique_ptr<Share>> Share::open(const ShareConfig& config, const HelperRules& rules,
                                           OnLost on_lost) {
  TRY(check(config));
  if (const auto warning = warning_of(config); !warning.empty()) {
    log::warn("{}", warning);
  }
  std::unique_ptr<Share> share(new Share(config, std::move(on_lost)));
  TRY(share->start(rules));
  return share;
}

Share::~Share() {
  is_ending_.store(true);
}

/// Of a server that misbehaves, the end is told like any other: once it has been killed.
Status Share::start(const HelperRules& rules) {
  auto pair = TRY(ListeningPair::create());
  child_ = TRY(ChildProcess::start(
      {.program = program_of(TRY(virtiofsd()), config_, rules, pair.listener.get()),
       .on_end = [this](const Error& error) {
         if (!is_ending_.load() && on_lost_) {
           on_lost_(config_.tag, error);
         }
       }}));
  pair.listener.reset();
  auto client = vhost_user::Client::create(
      std::move(pair.connected), {.name = "virtiofsd", .on_lost = [this](const Error& error) {
                                    log::warn("Share {}: {}", config_.tag, error.to_string());
                                    child_->kill();
                                  }});
  if (!client) {
    is_ending_.store(true);
    const auto said = child_->wait_for_end(kLastWords);
    return said ? Status(*said) : Status(std::move(client).error());
  }
  client_ = std::move(client).value();
  return {};
}

Status check_shares(const std::vector<ShareConfig>& configs) {
  for (std::size_t i = 0; i < configs.size(); ++i) {
    TRY_CONTEXT(Share::check(configs[i]), configs[i].place.or_else(fmt::format("share.{}", i)));
  }
  return {};
}

Result<Shares> open_shares(const std::vector<ShareConfig>& configs, const HelperRules& rules,
                           const Share::OnLost& on_lost) {
  Shares shares;
  for (std::size_t i = 0; i < configs.size(); ++i) {
    shares.push_back(TRY_CONTEXT(Share::open(configs[i], rules, on_lost),
                                 configs[i].place.or_else(fmt::format("share.{}", i))));
  }
  return shares;
}

}  // namespace gpuvm
