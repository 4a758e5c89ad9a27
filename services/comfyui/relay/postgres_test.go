package relay_test

import "github.com/ai-film/ai-film/services/internal/postgrestest"

var startPostgres = postgrestest.Start
