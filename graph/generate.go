package graph

//go:generate go run ../lockprovider/document schema/meta.graphqls
//go:generate go tool gqlgen generate
//go:generate go run -mod=mod ./printschema
