// SPDX-License-Identifier: Apache-2.0
#include "vmm/sandbox/landlock.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "vmm/sandbox/privileges.hpp"

namespace gpuvm::sandbox {
namespace {

// The same on all architectures since Linux 5.13.
constexpr long kCreateRuleset = 444;
constexpr long kAddRule = 445;
constexpr long kRestrictSelf = 446;
constexpr unsigned kVersionFlag = 1;  ///< LANDLOCK_CREATE_RULESET_VERSION
constexpr int kPathBeneath = 1;       ///< LANDLOCK_RULE_PATH_BENEATH

/// struct landlock_ruleset_attr as far as ABI 6; older kernels take its first fields.
struct RulesetAttribute {
  std::uint64_t files = 0;
  std::uint64_t network = 0;
  std::uint64_t scoped = 0;
};
std::size_t size_for(int abi) {
  constexpr std::size_t kField = sizeof(std::uint64_t);
  return abi >= 6 ? 3 * kField : abi >= 4 ? 2 * kField : kField;
}

struct __attribute__((packed)) PathAttribute {
  std::uint64_t allowed = 0;
  std::int32_t folder = -1;
};

// LANDLOCK_ACCESS_FS_…, by number of its bit.
constexpr std::uint64_t bit(unsigned number) {
  return std::uint64_t{1} << number;
}
constexpr std::uint64_t kExecute = bit(0);
constexpr std::uint64_t kWriteFile = bit(1);
constexpr std::uint64_t kReadFile = bit(2);
constexpr std::uint64_t kReadFolder = bit(3);
constexpr std::uint64_t kRemoveFolder = bit(4);
constexpr std::uint64_t kRemoveFile = bit(5);
constexpr std::uint64_t kMakeFolder = bit(7);
constexpr std::uint64_t kMakeFile = bit(8);
constexpr std::uint64_t kMakeSocket = bit(9);
constexpr std::uint64_t kMakeFifo = bit(10);
constexpr std::uint64_t kRefer = bit(13);           // ABI 2
constexpr std::uint64_t kTruncate = bit(14);        // ABI 3
constexpr std::uint64_t kDeviceControl = bit(15);   // ABI 5
constexpr std::uint64_t kTcp = bit(0) | bit(1);     // LANDLOCK_ACCESS_NET_…: bind and connect
constexpr std::uint64_t kAbstractSockets = bit(0);  // LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET

/// All that a kernel of this ABI knows.
std::uint64_t known_files(int abi) {
  const unsigned bits = abi >= 5 ? 16 : abi >= 3 ? 15 : abi >= 2 ? 14 : 13;
  return bit(bits) - 1;
}

std::uint64_t rights_of(PathAccess access) {
  constexpr std::uint64_t kRead = kReadFile | kReadFolder;
  constexpr std::uint64_t kWrite = kRead | kWriteFile | kTruncate | kDeviceControl;
  switch (access) {
    case PathAccess::kRead:
      return kRead;
    case PathAccess::kWrite:
      return kWrite;
    case PathAccess::kExecute:
      return kRead | kExecute;
    case PathAccess::kManage:
      break;
  }
  return kWrite | kRemoveFolder | kRemoveFile | kMakeFolder | kMakeFile | kMakeSocket | kMakeFifo |
         kRefer;
}

/// Of a file there are fewer rights than of a folder.
constexpr std::uint64_t kOfFiles = kExecute | kWriteFile | kReadFile | kTruncate | kDeviceControl;

Status add_rule(int ruleset, const PathRule& rule, int abi) {
  const UniqueFd place(::open(rule.path.c_str(), O_PATH | O_CLOEXEC));
  if (!place && (errno == ENOENT || errno == ENOTDIR)) {
    return {};
  }
  struct stat info {};
  if (!place || ::fstat(place.get(), &info) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot make a rule of Landlock for " + rule.path);
  }
  PathAttribute attribute;
  attribute.allowed = rights_of(rule.access) & known_files(abi) &
                      (S_ISDIR(info.st_mode) ? ~std::uint64_t{0} : kOfFiles);
  attribute.folder = place.get();
  if (::syscall(kAddRule, ruleset, kPathBeneath, &attribute, 0U) != 0) {
    return fail_errno(ErrorKind::kHost, "Landlock takes no rule for " + rule.path);
  }
  return {};
}

}  // namespace

LandlockSupport landlock_support() {
  const long abi = ::syscall(kCreateRuleset, nullptr, std::size_t{0}, kVersionFlag);
  if (abi > 0) {
    return {.abi = static_cast<int>(abi), .why_not = {}};
  }
  const bool is_off = errno == EOPNOTSUPP;
  return {.abi = 0,
          .why_not = is_off
                         ? std::string("Landlock is not among the LSMs of this boot (`lsm=` of the "
                                       "kernel)")
                         : std::string("this kernel has no Landlock (Linux 5.13, "
                                       "CONFIG_SECURITY_LANDLOCK)")};
}

Result<LandlockRules> LandlockRules::create(std::span<const PathRule> rules) {
  const LandlockSupport support = landlock_support();
  if (support.abi == 0) {
    return fail(ErrorKind::kHost, "No Landlock: {}", support.why_not);
  }
  const RulesetAttribute attribute{
      .files = known_files(support.abi), .network = kTcp, .scoped = kAbstractSockets};
  UniqueFd ruleset(
      static_cast<int>(::syscall(kCreateRuleset, &attribute, size_for(support.abi), 0U)));
  if (!ruleset) {
    return fail_errno(ErrorKind::kHost, "Landlock gives no set of rules");
  }
  for (const PathRule& rule : rules) {
    TRY(add_rule(ruleset.get(), rule, support.abi));
  }
  return LandlockRules(std::move(ruleset), support.abi);
}

int LandlockRules::restrict_self() const noexcept {
  if (const int error = set_no_new_privileges(); error != 0) {
    return error;
  }
  return ::syscall(kRestrictSelf, fd_.get(), 0U) == 0 ? 0 : errno;
}

}  // namespace gpuvm::sandbox
