/* What can be told of a Docker Compose project without Compose. */
#ifndef CONFIG_COMPOSE_H
#define CONFIG_COMPOSE_H

#include "base/str.h"

/* The project's name as Compose would choose it in that directory (absolute): COMPOSE_PROJECT_NAME of the environment, else of `.env` beside the
 * compose file, else the file's `name`, else its directory's name. The compose file (compose.yaml, compose.yml, docker-compose.yml, docker-compose.yaml) is looked
 * for there and in the directories above. NULL: there is none, or its name has variables, so that it can't be told.
 * docs.docker.com/compose/how-tos/project-name */
char *compose_project(const char *directory); /* the caller frees */

#endif
