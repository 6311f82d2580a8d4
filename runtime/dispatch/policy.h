/// \file Response policy, as DNS has it (RPZ): ordered rules before and after classification, by
/// words of the text, scope and zone. All patterns are one automaton (Aho, Corasick: Efficient
/// string matching, 1975) over the words that stage 1 reads: linear in the text, nothing to
/// backtrack. Fixed memory.
#pragma once

#include "semdns/dispatch.h"

#include <stddef.h>
#include <stdint.h>

namespace semdns::dispatch {

constexpr uint32_t kMaxPolicyRules = 128;
constexpr uint32_t kMaxPatternWords = 32;
constexpr uint32_t kZoneNameMax = 256; ///< bytes of a DNS name with the terminator

enum class PolicyAction : uint8_t { None, Block, Drop, Pin, Pass };

struct PolicyRule {
  char name[SEMDNS_ID_MAX];
  char target[kZoneNameMax]; ///< Pin: DNS name of the zone
  uint64_t zone;             ///< hash of the DNS name; 0: any. Matches what lies below it, too
  uint64_t scope;            ///< hash; 0: any
  PolicyAction action;
  bool after;   ///< looks at the classified zone
  bool hasText; ///< one of its patterns must occur
};

/// One bit a rule.
struct RuleSet {
  uint64_t bits[kMaxPolicyRules / 64];
  bool has(uint32_t rule) const { return bits[rule / 64] >> (rule % 64) & 1; }
  void add(uint32_t rule) { bits[rule / 64] |= uint64_t(1) << (rule % 64); }
  void add(const RuleSet &other) {
    for (uint32_t i = 0; i < kMaxPolicyRules / 64; ++i)
      bits[i] |= other.bits[i];
  }
};

/// A state: the words from the start of some pattern up to here.
struct PolicyState {
  uint64_t word; ///< the last one
  uint32_t parent, fail, depth, reserved;
  RuleSet ends; ///< rules with a pattern that ends here, or at a shorter one that ends here, too
};

struct Policy {
  PolicyState *states; ///< [capacity + 1]; 0: no word read
  uint32_t *slots;     ///< [slotCount] states by (parent, word); 0: free
  uint32_t capacity, slotCount, used;
  uint32_t ruleCount, textRules, beforeRules, afterRules;
  PolicyRule rules[kMaxPolicyRules];
};

/// Bytes for the states of patterns of `words` words together, a multiple of 64.
size_t policyMemory(uint32_t words);
/// `memory`: policyMemory(words) bytes, 64-byte aligned.
void initPolicy(Policy &policy, void *memory, uint32_t words);
void clearPolicy(Policy &policy);
/// Adds a pattern of rule `rule`; false where the states are used up.
bool addPattern(Policy &policy, uint32_t rule, const uint64_t *words, uint32_t count);
/// After the last pattern, before the first match.
void finishPolicy(Policy &policy);
void swapPolicies(Policy &a, Policy &b);
/// The same rules with the same patterns, in the same order.
bool samePolicy(const Policy &a, const Policy &b);

/// Reads on from `state` (0 at the start of a text) and adds the rules whose patterns end in
/// `words`. Punctuation (bit 0) is passed over.
void matchWords(const Policy &policy, uint32_t &state, const uint64_t *words, uint32_t count,
                RuleSet &found);

/// The first rule that holds; kMaxPolicyRules if none. `texts`: those whose patterns occur. After:
/// `zones` are the hashes of the classified zone's name and of its ancestors'.
uint32_t firstRule(const Policy &policy, bool after, const RuleSet &texts, uint64_t scope,
                   const uint64_t *zones, uint32_t zoneCount);

} // namespace semdns::dispatch
