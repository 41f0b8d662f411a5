// SPDX-License-Identifier: Apache-2.0
// Registers of the 16550A UART. Source: National Semiconductor PC16550D data sheet, June 1995,
// section 8 (Registers). Only the specification, no behaviour.
#pragma once

#include <cstdint>

namespace gpuvm::uart {

/// Register addresses, A2..A0 (table I). kData and kInterruptEnable are the divisor latch while
/// DLAB is 1; reading kFifoControl gives the interrupt identification.
inline constexpr unsigned kData = 0;
inline constexpr unsigned kInterruptEnable = 1;
inline constexpr unsigned kInterruptId = 2;
inline constexpr unsigned kFifoControl = 2;
inline constexpr unsigned kLineControl = 3;
inline constexpr unsigned kModemControl = 4;
inline constexpr unsigned kLineStatus = 5;
inline constexpr unsigned kModemStatus = 6;
inline constexpr unsigned kScratch = 7;
inline constexpr unsigned kRegisterCount = 8;

// Interrupt enable (8.6).
inline constexpr std::uint8_t kIerReceived = 0x01;
inline constexpr std::uint8_t kIerTransmitterEmpty = 0x02;
inline constexpr std::uint8_t kIerLineStatus = 0x04;
inline constexpr std::uint8_t kIerModemStatus = 0x08;

// Interrupt identification (8.5, table IV), in order of priority.
inline constexpr std::uint8_t kIirLineStatus = 0x06;
inline constexpr std::uint8_t kIirReceived = 0x04;
inline constexpr std::uint8_t kIirTimeout = 0x0c;
inline constexpr std::uint8_t kIirTransmitterEmpty = 0x02;
inline constexpr std::uint8_t kIirModemStatus = 0x00;
inline constexpr std::uint8_t kIirNone = 0x01;
inline constexpr std::uint8_t kIirFifosEnabled = 0xc0;

// FIFO control (8.4).
inline constexpr std::uint8_t kFcrEnable = 0x01;
inline constexpr std::uint8_t kFcrClearReceive = 0x02;
inline constexpr std::uint8_t kFcrTriggerShift = 6;

// Line control (8.1).
inline constexpr std::uint8_t kLcrDivisorLatch = 0x80;

// Modem control (8.7).
inline constexpr std::uint8_t kMcrDtr = 0x01;
inline constexpr std::uint8_t kMcrRts = 0x02;
inline constexpr std::uint8_t kMcrOut1 = 0x04;
inline constexpr std::uint8_t kMcrOut2 = 0x08;
inline constexpr std::uint8_t kMcrLoop = 0x10;
inline constexpr std::uint8_t kMcrMask = 0x1f;

// Line status (8.3).
inline constexpr std::uint8_t kLsrDataReady = 0x01;
inline constexpr std::uint8_t kLsrOverrun = 0x02;
inline constexpr std::uint8_t kLsrHoldingEmpty = 0x20;
inline constexpr std::uint8_t kLsrTransmitterEmpty = 0x40;

// Modem status (8.8).
inline constexpr std::uint8_t kMsrDeltaCts = 0x01;
inline constexpr std::uint8_t kMsrDeltaDsr = 0x02;
inline constexpr std::uint8_t kMsrTrailingRing = 0x04;
inline constexpr std::uint8_t kMsrDeltaDcd = 0x08;
inline constexpr std::uint8_t kMsrDeltas = 0x0f;
inline constexpr std::uint8_t kMsrCts = 0x10;
inline constexpr std::uint8_t kMsrDsr = 0x20;
inline constexpr std::uint8_t kMsrRing = 0x40;
inline constexpr std::uint8_t kMsrDcd = 0x80;

}  // namespace gpuvm::uart
