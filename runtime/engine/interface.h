// The C header for the engine's own files. There the handle's type is evqa_handle: `evqa` is the namespace.
#pragma once

#define evqa evqa_handle
#include "../include/edge_vqa.h"
#undef evqa
