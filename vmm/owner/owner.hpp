// SPDX-License-Identifier: Apache-2.0
// Owner: what the monitor asks of whoever owns its guest's functions and files, and outlives it
// (docs/security-inside.md). One implementation does it (vmm/machine/owner), another asks for it
// over a socket (owner_client.hpp): one process and two have the same logic.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "vmm/base/bdf.hpp"
#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm {

/// A function of the host that is handed over.
struct HeldFunction {
  Bdf bdf = {};
  /// The reset that the user chose, as a number of ResetMethod; nothing: none was chosen.
  std::optional<std::uint8_t> reset_method = {};
  std::optional<std::chrono::milliseconds> settle = {};  ///< after a reset; nothing: the policy's
  std::uint8_t link_width = 0;  ///< lanes before anybody opened it; 0: not known
  bool is_resized = false;      ///< a BAR got another size as it was bound
  std::string vf_token = {};    ///< a UUID, or empty

  bool operator==(const HeldFunction&) const = default;
};

/// What a declared file is for.
enum class FileUse : std::uint8_t {
  kReplace,  ///< the guest may change its contents: replace_file()
  kRead,     ///< it is read anew at each start of the guest: open_file()
};

/// What who shows a card to the guest needs of it, one file each.
enum class CardFileKind : std::uint8_t {
  kContainer,  ///< VFIO's, with guest memory's DMA maps
  kGroup,      ///< one of VFIO's
  kDevice,     ///< a function, opened through VFIO
  kConfig,     ///< of a function: "config" of sysfs
  kResource,   ///< of a function: "resource" of sysfs
};

struct CardFile {
  UniqueFd file = {};
  /// kContainer: how many functions, plus 65536 times how many groups; kGroup: its number; kDevice:
  /// that of its group; kConfig: the function's address (card_address()); kResource: 0.
  std::uint32_t value = 0;
};

class Owner {
 public:
  virtual ~Owner() = default;

  // Until guest_runs(): kWrongState afterwards.

  /// Takes over the locked files of one function in /run/gpuvm: the one of its claim, and, where
  /// gpuvm has bound it, the one that says what its driver was. Either may be absent. Errors: kHost
  /// for files that are not these.
  virtual Status hold_function(const HeldFunction& function, UniqueFd claim, UniqueFd binding) = 0;
  /// Takes over "/run/gpuvm/NAME", which goes when all is over. Errors: as hold_function().
  virtual Status hold_state(const std::string& name, UniqueFd file) = 0;
  /// A file that is needed when no path is within reach any more: its number. Errors: kConfig (no
  /// absolute path; one to replace that is a link or no regular file); kHost: too many.
  virtual Result<std::uint32_t> declare_file(const std::string& path, FileUse use) = 0;
  /// Guest code is about to run: from now on the monitor is not believed.
  virtual Status guest_runs() = 0;

  // From then on; kWrongState before. Errors of all: kHost.

  /// A reset of the function did not make it fit.
  virtual Status mark_failed(const Bdf& function, std::string_view reason) = 0;
  /// Whether the link above the function can be trained again: all that is below it is held.
  virtual Status check_link(const Bdf& function) = 0;
  virtual Status retrain_link(const Bdf& function) = 0;
  /// A whole new file in the old one's place.
  virtual Status replace_file(std::uint32_t file, std::span<const std::byte> contents) = 0;
  /// For reading: what the path names now. Errors: also kConfig, where it is no regular file.
  virtual Result<UniqueFd> open_file(std::uint32_t file) = 0;

  // Cards that come and go while the guest runs: those that the owner's own configuration names
  // (machine.attachable), by their places in it. No monitor can name another. Errors: also
  // kWrongState, where the card is not in the state for it, and of an owner without such cards.

  /// Begins to take the card: claimed, bound, opened, reset and verified.
  virtual Status take_card(std::uint32_t) { return no_cards(); }
  /// Begins to give it back, once nobody has its files open any more: opened anew, reset, verified,
  /// its marks removed, and to its driver.
  virtual Status give_back_card(std::uint32_t) { return no_cards(); }
  /// False: what was begun is under way. Errors, once: what came of it; also kConfig,
  /// kUnsafeDevice. A card that could not be taken is not; one that could not be opened anew stays
  /// taken until the monitor's end; one that does not come back from its reset is given up, and
  /// stays with vfio-pci and its mark.
  virtual Result<bool> is_card_idle(std::uint32_t) { return no_cards(); }
  /// A file of a card that was taken; once each, since the owner keeps none. `index`: of the groups
  /// or the functions; 0 with kContainer.
  virtual Result<CardFile> card_file(std::uint32_t, CardFileKind, std::uint32_t) {
    return no_cards();
  }

 private:
  static Error no_cards() { return fail(ErrorKind::kWrongState, "This owner takes no cards"); }
};

}  // namespace gpuvm
