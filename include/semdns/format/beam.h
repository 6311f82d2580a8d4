/* BEAM: the search tree of an artifact whose classes are too many to score them all. Stage 2 goes
 * down it level by level and follows the few best nodes only (docs/architecture.md, "Arithmetic",
 * Beam). The file's CENT then has one vector per *entry*, in layout 1, in place of one per class.
 *
 * A node has up to SEMDNS_BEAM_MAX_NODE entries, consecutive in CENT, padded to a multiple of 16.
 * An entry is a class or leads to another node. Nodes are numbered by level, so that a child comes
 * after its parent; node 0 is the first level. A zone's classes are found below the entries
 * [begin, end) of one node, its home: the zone's confidence is their share. (A zone between two
 * nodes has several entries, one with a node of its own has one.)
 *
 *     semdns_beam_header
 *     semdns_beam_node nodes[node_count]
 *     uint32_t target[entry_count]        class; SEMDNS_BEAM_NODE | node; padding: SEMDNS_NONE
 *     int32_t bias[entry_count]           1/256 bit, at most SEMDNS_BEAM_MAX_BIAS either way;
 *                                         padding: SEMDNS_BEAM_PADDING
 *     uint32_t class_entry[class_count]   entry of each class
 *     semdns_beam_home homes[zone_count]
 *
 * The section is critical: a reader that does not know it refuses the file. */
#ifndef SEMDNS_FORMAT_BEAM_H
#define SEMDNS_FORMAT_BEAM_H

#include "semdns/format/classes.h"

#define SEMDNS_BEAM_VERSION 1u
#define SEMDNS_BEAM_MAX_WIDTH 8u
#define SEMDNS_BEAM_MAX_LEVELS 32u
#define SEMDNS_BEAM_MAX_NODE 4096u /* entries; bounded by the 32-bit sum of 16-bit weights */
#define SEMDNS_BEAM_MAX_ENTRIES (1u << 19)
#define SEMDNS_BEAM_MAX_BIAS (1 << 14)
#define SEMDNS_BEAM_PADDING (-(1 << 30)) /* the bias of padding: far from any real one */
#define SEMDNS_BEAM_NODE 0x80000000u
#define SEMDNS_BEAM_ONE (1u << 31) /* the probability of the root: masses are Q31 */

typedef struct semdns_beam_header {
  uint32_t entry_count; /* equals CENT's class_count; a multiple of 16 */
  uint32_t node_count;
  uint32_t class_count, zone_count; /* equal ZTRE's */
  uint32_t width;     /* nodes of a level that are followed, 1..SEMDNS_BEAM_MAX_WIDTH */
  uint32_t spread;    /* of those only the ones that have 2^-spread of the best one's mass; 0..31 */
  uint32_t levels;    /* 1..SEMDNS_BEAM_MAX_LEVELS */
  uint32_t node_room; /* padded entries of the largest node, at most SEMDNS_BEAM_MAX_NODE */
  uint64_t nodes_offset; /* offsets from the start of the section, multiples of 64 */
  uint64_t target_offset;
  uint64_t bias_offset;
  uint64_t class_entry_offset;
  uint64_t homes_offset;
  uint64_t reserved[7]; /* zero */
} semdns_beam_header;
SEMDNS_FORMAT_ASSERT(sizeof(semdns_beam_header) == 128);

typedef struct semdns_beam_node {
  uint32_t entry_begin;  /* a multiple of 16; the nodes before fill what is before */
  uint32_t entry_count;  /* without padding, at least 1 */
  uint32_t parent;       /* node; SEMDNS_NONE for node 0 */
  uint32_t parent_entry; /* the entry that leads here; SEMDNS_NONE for node 0 */
  uint32_t level;        /* the parent's + 1; 0 for node 0 */
  uint32_t reserved[3];  /* zero */
} semdns_beam_node;
SEMDNS_FORMAT_ASSERT(sizeof(semdns_beam_node) == 32);

typedef struct semdns_beam_home {
  uint32_t node;
  uint32_t begin, end; /* entries of that node; the root: all of node 0's */
  uint32_t parent;     /* ZTRE's, beside what climbing looks at first; the root: SEMDNS_NONE */
} semdns_beam_home;
SEMDNS_FORMAT_ASSERT(sizeof(semdns_beam_home) == 16);

#endif /* SEMDNS_FORMAT_BEAM_H */
