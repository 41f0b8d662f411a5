// SPDX-License-Identifier: Apache-2.0
// Credentials of systemd (systemd.io/CREDENTIALS) as the strings of SMBIOS type 11 by which a
// guest's systemd finds them, from version 252 on: "io.systemd.credential:NAME=TEXT", and with
// ".binary" the bytes in base64. Whoever has root in the guest reads them; nobody else there.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/result.hpp"

namespace gpuvm {

struct Credential {
  std::string name;   ///< as config has checked it
  std::string value;  ///< any bytes
};

/// All strings of all credentials together: the tables that gpuvm places itself have 64 KiB, and
/// those of many processors want a third of it.
constexpr std::size_t kMostCredentialBytes = 32768;

/// One string: text as it is where it is printable ASCII, in base64 otherwise.
std::string credential_string(const Credential& credential);

/// Errors: kConfig: more than kMostCredentialBytes, with the largest one's name.
Result<std::vector<std::string>> credential_strings(const std::vector<Credential>& credentials);

/// RFC 4648, section 4, with padding.
std::string to_base64(std::string_view bytes);

}  // namespace gpuvm
