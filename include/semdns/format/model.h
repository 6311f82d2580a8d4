/* TOKM, BYTM: tables of the modelled coders `fast` and `max`. */
#ifndef SEMDNS_FORMAT_MODEL_H
#define SEMDNS_FORMAT_MODEL_H

#include "semdns/format/artifact.h"

#define SEMDNS_TOKM_VERSION 1u
#define SEMDNS_BYTM_VERSION 1u

#endif /* SEMDNS_FORMAT_MODEL_H */
