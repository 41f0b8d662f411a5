// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/journal.hpp"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

namespace gpuvm {
namespace {

constexpr std::size_t kLongestFieldName = 64;

bool is_field_name(std::string_view name) {
  const auto is_allowed = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  return !name.empty() && name.size() <= kLongestFieldName && name.front() >= 'A' &&
         name.front() <= 'Z' && std::all_of(name.begin(), name.end(), is_allowed);
}

/// A number of 64 bits, least significant byte first.
std::array<char, 8> little_endian(std::uint64_t number) {
  std::array<char, 8> bytes{};
  for (char& byte : bytes) {
    byte = static_cast<char>(number & 0xff);
    number >>= 8;
  }
  return bytes;
}

}  // namespace

bool is_journal_stream(const char* value, int fd) {
  struct stat file {};
  return value != nullptr && ::fstat(fd, &file) == 0 &&
         std::string_view(value) == fmt::format("{}:{}", file.st_dev, file.st_ino);
}

std::string journal_entry(std::span<const JournalField> fields) {
  std::string entry;
  for (const JournalField& field : fields) {
    if (!is_field_name(field.name)) {
      continue;
    }
    const auto value = field.value.substr(0, kLongestJournalValue);
    entry += field.name;
    if (value.find('\n') == std::string_view::npos) {
      entry += '=';
    } else {  // the form for values of any bytes
      const auto size = little_endian(value.size());
      entry += '\n';
      entry.append(size.data(), size.size());
    }
    entry += value;
    entry += '\n';
  }
  return entry;
}

std::optional<JournalSocket> JournalSocket::open(const std::string& path) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd || path.size() >= sizeof(sockaddr_un::sun_path)) {
    return std::nullopt;
  }
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return std::nullopt;
  }
  return JournalSocket(std::move(fd));
}

bool JournalSocket::send(std::string_view entry) const {
  const auto sent = ::send(fd_.get(), entry.data(), entry.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  return sent == static_cast<ssize_t>(entry.size());
}

}  // namespace gpuvm
