package main

import (
	"context"
	"time"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Every image "exists" as soon as it is pulled.

func image(name string) *cri.Image {
	return &cri.Image{Id: name, RepoTags: []string{name}, RepoDigests: []string{name}, Size: 1 << 20, Uid: &cri.Int64Value{Value: 65532}, Spec: &cri.ImageSpec{Image: name}}
}

func (s *runtimeServer) ListImages(context.Context, *cri.ListImagesRequest) (*cri.ListImagesResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := &cri.ListImagesResponse{}
	for name := range s.images {
		out.Images = append(out.Images, image(name))
	}
	return out, nil
}

func (s *runtimeServer) ImageStatus(_ context.Context, r *cri.ImageStatusRequest) (*cri.ImageStatusResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if name := r.GetImage().GetImage(); s.images[name] {
		return &cri.ImageStatusResponse{Image: image(name)}, nil
	}
	return &cri.ImageStatusResponse{}, nil
}

func (s *runtimeServer) PullImage(_ context.Context, r *cri.PullImageRequest) (*cri.PullImageResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.images[r.GetImage().GetImage()] = true
	return &cri.PullImageResponse{ImageRef: r.GetImage().GetImage()}, nil
}

func (s *runtimeServer) RemoveImage(_ context.Context, r *cri.RemoveImageRequest) (*cri.RemoveImageResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.images, r.GetImage().GetImage())
	return &cri.RemoveImageResponse{}, nil
}

func (s *runtimeServer) ImageFsInfo(context.Context, *cri.ImageFsInfoRequest) (*cri.ImageFsInfoResponse, error) {
	fs := &cri.FilesystemUsage{Timestamp: time.Now().UnixNano(), FsId: &cri.FilesystemIdentifier{Mountpoint: stateDir},
		UsedBytes: &cri.UInt64Value{Value: 1 << 20}, InodesUsed: &cri.UInt64Value{Value: 100}}
	return &cri.ImageFsInfoResponse{ImageFilesystems: []*cri.FilesystemUsage{fs}, ContainerFilesystems: []*cri.FilesystemUsage{fs}}, nil
}
