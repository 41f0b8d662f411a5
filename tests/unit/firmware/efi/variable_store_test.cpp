// SPDX-License-Identifier: Apache-2.0
// UEFI 2.10, section 8.2, and the block's own checks.
#include "firmware/efi/variable_store.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <random>
#include <string>
#include <vector>

namespace gpuvm::efi::variable_store_test {
namespace {

constexpr Guid kVendor = {1, 2, 3, {4}};
constexpr Guid kOther = {5, 6, 7, {8}};
constexpr std::uint32_t kLasting =
    kVariableNonVolatile | kVariableBootAccess | kVariableRuntimeAccess;
constexpr std::uint32_t kVolatile = kVariableBootAccess | kVariableRuntimeAccess;

class VariableStoreTest : public testing::Test {
 protected:
  VariableStoreTest() { store_.format(); }
  EfiStatus set(const char16_t* name, std::string_view data, std::uint32_t attributes = kLasting,
                bool runtime = false) {
    return store_.set(name, &kVendor, attributes, data.size(), data.data(), runtime, changed_);
  }
  std::string get(const char16_t* name, bool runtime = false) {
    char data[256];
    std::uint64_t size = sizeof data;
    const auto status = store_.get(name, &kVendor, &attributes_, &size, data, runtime);
    return status == EfiStatus::kSuccess ? std::string(data, size) : "none";
  }
  const char* check() { return VariableStore::check(block_.data(), store_.used()); }

  std::vector<std::uint64_t> block_ = std::vector<std::uint64_t>(VariableStore::kBlockSize / 8);
  VariableStore store_{block_.data()};
  std::uint32_t attributes_ = 0;
  bool changed_ = false;
};

TEST(Crc32, CheckValue) {
  EXPECT_EQ(crc32("123456789", 9), 0xcbf43926U);
}

TEST_F(VariableStoreTest, KeepsReplacesAppendsAndDeletes) {
  EXPECT_EQ(set(u"Name", "value"), EfiStatus::kSuccess);
  EXPECT_TRUE(changed_);
  EXPECT_EQ(get(u"Name"), "value");
  EXPECT_EQ(attributes_, kLasting);
  EXPECT_EQ(set(u"Name", "other"), EfiStatus::kSuccess);
  EXPECT_EQ(get(u"Name"), "other");
  EXPECT_EQ(set(u"Name", "+more", kLasting | kVariableAppend), EfiStatus::kSuccess);
  EXPECT_EQ(get(u"Name"), "other+more");
  EXPECT_EQ(attributes_, kLasting);
  EXPECT_EQ(get(u"Nam"), "none");
  EXPECT_EQ(set(u"Name", ""), EfiStatus::kSuccess);
  EXPECT_TRUE(changed_);
  EXPECT_EQ(get(u"Name"), "none");
  EXPECT_EQ(set(u"Name", ""), EfiStatus::kNotFound);
  EXPECT_EQ(set(u"New", "appended", kLasting | kVariableAppend), EfiStatus::kSuccess);
  EXPECT_EQ(get(u"New"), "appended");
  EXPECT_EQ(set(u"New", "x", 0), EfiStatus::kSuccess);  // no access: a request to delete
  EXPECT_EQ(get(u"New"), "none");
  EXPECT_EQ(check(), nullptr);
}

TEST_F(VariableStoreTest, RefusesWhatTheSpecificationForbids) {
  EXPECT_EQ(set(u"", "x"), EfiStatus::kInvalidParameter);
  EXPECT_EQ(set(u"A", "x", kVariableRuntimeAccess), EfiStatus::kInvalidParameter);
  EXPECT_EQ(set(u"A", "x", kLasting | kVariableTimeAuthenticated), EfiStatus::kUnsupported);
  EXPECT_EQ(set(u"A", "x", kLasting | 0x100), EfiStatus::kInvalidParameter);
  ASSERT_EQ(set(u"A", "x"), EfiStatus::kSuccess);
  EXPECT_EQ(set(u"A", "x", kVolatile), EfiStatus::kInvalidParameter);  // other attributes
  EXPECT_EQ(set(u"B", "x", kVolatile, true), EfiStatus::kWriteProtected);
  EXPECT_EQ(store_.set(nullptr, &kVendor, kLasting, 1, "x", false, changed_),
            EfiStatus::kInvalidParameter);
  EXPECT_EQ(store_.set(u"A", nullptr, kLasting, 1, "x", false, changed_),
            EfiStatus::kInvalidParameter);
  EXPECT_EQ(store_.set(u"A", &kVendor, kLasting, 1, nullptr, false, changed_),
            EfiStatus::kInvalidParameter);
}

TEST_F(VariableStoreTest, SaysHowMuchRoomAValueNeeds) {
  ASSERT_EQ(set(u"A", "value"), EfiStatus::kSuccess);
  std::uint64_t size = 4;
  char data[5];
  EXPECT_EQ(store_.get(u"A", &kVendor, nullptr, &size, data, false), EfiStatus::kBufferTooSmall);
  EXPECT_EQ(size, 5U);
  EXPECT_EQ(store_.get(u"A", &kVendor, nullptr, &size, nullptr, false),
            EfiStatus::kInvalidParameter);
  EXPECT_EQ(store_.get(u"A", &kOther, nullptr, &size, data, false), EfiStatus::kNotFound);
}

TEST_F(VariableStoreTest, NamesComeOneAfterTheOther) {
  ASSERT_EQ(set(u"First", "1"), EfiStatus::kSuccess);
  ASSERT_EQ(set(u"Hidden", "2", kVariableBootAccess), EfiStatus::kSuccess);
  ASSERT_EQ(set(u"Last", "3"), EfiStatus::kSuccess);
  char16_t name[16] = u"";
  Guid vendor;
  std::uint64_t size = 4;
  EXPECT_EQ(store_.next(&size, name, &vendor, true), EfiStatus::kBufferTooSmall);
  EXPECT_EQ(size, 12U);
  EXPECT_EQ(store_.next(&size, name, &vendor, true), EfiStatus::kSuccess);
  EXPECT_EQ(std::u16string(name), u"First");
  EXPECT_EQ(vendor, kVendor);
  size = sizeof name;
  EXPECT_EQ(store_.next(&size, name, &vendor, true), EfiStatus::kSuccess);
  EXPECT_EQ(std::u16string(name), u"Last");
  size = sizeof name;
  EXPECT_EQ(store_.next(&size, name, &vendor, true), EfiStatus::kNotFound);
  std::memcpy(name, u"Nobody", 14);
  EXPECT_EQ(store_.next(&size, name, &vendor, true), EfiStatus::kInvalidParameter);
  name[0] = u'x';
  size = 2;  // no NUL within it
  EXPECT_EQ(store_.next(&size, name, &vendor, true), EfiStatus::kInvalidParameter);
}

TEST_F(VariableStoreTest, AFullStoreRefusesAndKeepsWhatItHas) {
  const std::string large(20'000, 'x');
  ASSERT_EQ(set(u"A", large), EfiStatus::kSuccess);
  ASSERT_EQ(set(u"B", large), EfiStatus::kSuccess);
  ASSERT_EQ(set(u"C", large), EfiStatus::kSuccess);
  EXPECT_EQ(set(u"D", large), EfiStatus::kOutOfResources);
  EXPECT_EQ(set(u"C", std::string(19'999, 'y')), EfiStatus::kSuccess);  // takes its own place
  EXPECT_EQ(set(u"A", std::string(VariableStore::kLargest, 'x')), EfiStatus::kOutOfResources);
  EXPECT_EQ(check(), nullptr);
  EXPECT_EQ(set(u"A", ""), EfiStatus::kSuccess);
  EXPECT_EQ(set(u"D", large), EfiStatus::kSuccess);
}

TEST_F(VariableStoreTest, VolatileOnesCanBeDropped) {
  ASSERT_EQ(set(u"A", "a", kVolatile), EfiStatus::kSuccess);
  EXPECT_FALSE(changed_);
  ASSERT_EQ(set(u"B", "b"), EfiStatus::kSuccess);
  store_.drop_volatile();
  EXPECT_EQ(get(u"A"), "none");
  EXPECT_EQ(get(u"B"), "b");
  EXPECT_EQ(check(), nullptr);
}

TEST_F(VariableStoreTest, EveryDamagedByteIsNoticed) {
  ASSERT_EQ(set(u"A", "value"), EfiStatus::kSuccess);
  auto* bytes = reinterpret_cast<std::uint8_t*>(block_.data());
  const std::size_t reserved = 20;  // after magic, version, used and checksum
  for (std::uint64_t i = 0; i < store_.used(); ++i) {
    const std::uint64_t used = store_.used();
    bytes[i] ^= 0x40;
    EXPECT_NE(VariableStore::check(bytes, used), nullptr) << i;
    bytes[i] ^= 0x40;
  }
  EXPECT_LT(reserved, store_.used());
  for (std::uint64_t size = 0; size < store_.used(); ++size) {
    EXPECT_NE(VariableStore::check(bytes, size), nullptr) << size;
  }
  EXPECT_EQ(check(), nullptr);
}

TEST_F(VariableStoreTest, ManyOperationsAgreeWithAMap) {
  std::mt19937 random(1);
  std::map<std::u16string, std::string> model;
  for (int step = 0; step < 3000; ++step) {
    const std::u16string name(1 + random() % 3, static_cast<char16_t>('a' + random() % 5));
    const std::string value(random() % 60, static_cast<char>('A' + random() % 26));
    const bool append = random() % 4 == 0;
    const auto status = set(name.c_str(), value, kLasting | (append ? kVariableAppend : 0));
    if (append) {
      EXPECT_EQ(status, EfiStatus::kSuccess);
      if (!value.empty()) {
        model[name] += value;
      }
    } else if (value.empty()) {
      EXPECT_EQ(status, model.erase(name) != 0 ? EfiStatus::kSuccess : EfiStatus::kNotFound);
    } else {
      EXPECT_EQ(status, EfiStatus::kSuccess);
      model[name] = value;
    }
    if (model[name].size() > 200) {
      EXPECT_EQ(set(name.c_str(), ""), EfiStatus::kSuccess);
      model.erase(name);
    } else if (model[name].empty()) {
      model.erase(name);
    }
    for (const auto& [key, expected] : model) {
      ASSERT_EQ(get(key.c_str()), expected);
    }
    ASSERT_EQ(check(), nullptr);
  }
}

}  // namespace
}  // namespace gpuvm::efi::variable_store_test
