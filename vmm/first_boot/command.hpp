// SPDX-License-Identifier: Apache-2.0
// A command that a guest runs once it is up: how it is told, in every way that a guest may know:
// - an image of scripts/make-image has a unit for the credential gpuvm.run, from systemd 252 on;
// - any other image with systemd gets that unit by a credential, too, from systemd 256 on;
// - an initrd's own init finds it as gpuvm.run=BASE64 on the kernel's command line.
// In the first two the exit status goes to the status port, or else to the exit port, and the guest
// powers off; docs/guest-word.md says what an initrd is to do.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "vmm/base/result.hpp"
#include "vmm/config/config.hpp"

namespace gpuvm {

/// Of the command's text; credentials have an end (credentials.hpp).
inline constexpr std::size_t kMostCommandBytes = 12288;

/// Errors: kConfig: it is empty, too long, or holds a zero byte.
Status check_command(const std::string& command);

/// Adds the command, a shell script, to what the guest is told, and the status port by which its
/// exit status comes back. Errors: kConfig: it is empty, too long, or holds a zero byte; a
/// credential of the user's has a name that it needs; no kernel's command line has room for it and
/// the guest has no disk whose system could take it otherwise. Nothing is changed then.
Status add_command(Config& config, const std::string& command);

/// The same by the first two ways alone: an initrd's init hears nothing of it. Errors: as above,
/// but for the command line.
Status add_command_credentials(Config& config, const std::string& command);

/// The unit that runs it, as credentials hand it to a stock image; images of scripts/make-image
/// have the same in scripts/image.
std::string_view command_unit();

}  // namespace gpuvm
