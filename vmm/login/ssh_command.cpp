// SPDX-License-Identifier: Apache-2.0
#include "vmm/login/ssh_command.hpp"

#include <algorithm>

namespace gpuvm {
namespace {

/// For ssh's own options, which have blanks between values and expand "%".
std::string option_path(const std::string& path) {
  if (path.find_first_of(" \t\"\\%'") == std::string::npos) {
    return path;
  }
  std::string out = "\"";
  for (const char c : path) {
    if (c == '%') {
      out += '%';
    } else if (c == '"' || c == '\\') {
      out += '\\';
    }
    out += c;
  }
  return out + '"';
}

std::string proxy_command(const std::string& program, std::uint32_t cid) {
  std::string quoted;
  for (const char c : shell_quoted(program)) {
    quoted += c == '%' ? "%%" : std::string(1, c);
  }
  return fmt::format("ProxyCommand={} vsock-connect {} 22", quoted, cid);
}

}  // namespace

std::string shell_quoted(const std::string& word) {
  const auto is_plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("-_./=:,@+").find(c) != std::string_view::npos;
  };
  if (!word.empty() && std::all_of(word.begin(), word.end(), is_plain)) {
    return word;
  }
  std::string out = "'";
  for (const char c : word) {
    out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  }
  return out + '\'';
}

std::vector<std::string> ssh_command(const GuestRecord& guest, const SshRequest& request) {
  std::vector<std::string> words = {"ssh", "-F", "none"};
  const auto option = [&words](std::string text) {
    words.emplace_back("-o");
    words.push_back(std::move(text));
  };
  option(fmt::format("UserKnownHostsFile={}", option_path(guest.known_hosts)));
  option("GlobalKnownHostsFile=/dev/null");
  option("StrictHostKeyChecking=accept-new");
  option("UpdateHostKeys=no");
  option("HostKeyAlias=" + guest.name);
  option("LogLevel=ERROR");
  if (!guest.key.empty()) {
    option(fmt::format("IdentityFile={}", option_path(guest.key)));
    option("IdentitiesOnly=yes");
  }
  words.insert(words.end(), {"-l", request.user});
  if (request.by_vsock) {
    option(proxy_command(request.program, guest.cid.value_or(0)));
    option("ProxyUseFdpass=yes");
  } else {
    option("HostName=" + guest.address);
    words.insert(words.end(), {"-p", std::to_string(guest.port)});
  }
  // From there on nothing is an option: names of guests may begin with "-", which ssh takes for no
  // host's.
  const std::string host = (guest.name.starts_with('-') ? "guest" : "") + guest.name;
  words.insert(words.end(), {"--", host});
  words.insert(words.end(), request.command.begin(), request.command.end());
  return words;
}

}  // namespace gpuvm
