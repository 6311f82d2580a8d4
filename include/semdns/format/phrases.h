/* PHRS: tables of the codec mode `turbo`: phrases and the codes that they are sent in. */
#ifndef SEMDNS_FORMAT_PHRASES_H
#define SEMDNS_FORMAT_PHRASES_H

#include "semdns/format/artifact.h"

#define SEMDNS_PHRS_VERSION 1u

#endif /* SEMDNS_FORMAT_PHRASES_H */
