// SPDX-License-Identifier: Apache-2.0
// RandomSource: random bytes for the kernel (KASLR, early entropy) out of a seed from the host,
// expanded by ChaCha20 (RFC 8439, section 2.3) with fast key erasure, and the random number
// protocol over it (UEFI 2.10, section 37.5). The algorithm offered is the implementation's own:
// asking for another one, raw entropy for instance, is kUnsupported.
#pragma once

#include "firmware/efi/uefi_tables.hpp"

namespace gpuvm::efi {

/// RFC 8439, 2.3: one block of 64 bytes of key stream, counter and nonce as given.
void chacha20_block(const std::uint32_t (&key)[8], std::uint32_t counter,
                    const std::uint32_t (&nonce)[3], std::uint8_t (&out)[64]);

class RandomSource {
 public:
  /// Takes the seed (32 bytes or more; every byte counts) and overwrites it.
  void seed(std::uint8_t* bytes, std::size_t size);
  bool seeded() const { return seeded_; }
  void fill(std::uint8_t* out, std::uint64_t size);
  RandomProtocol* protocol();

 private:
  std::uint32_t key_[8] = {};
  bool seeded_ = false;
  RandomProtocol protocol_ = {};
};

}  // namespace gpuvm::efi
